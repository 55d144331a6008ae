"""What a group of dials is."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Dials(BaseModel):
    """A frozen group of settings that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=())
    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that came after artifacts had been made: see `identity`."""

    def identity(self, *left_out: str) -> dict[str, Any]:
        """The settings that decide a result, as plain values. One of `later` counts only where it is not at its default, so that what was
        made before there was such a dial keeps its key."""
        at_default = {name for name in self.later if getattr(self, name) == type(self).model_fields[name].get_default()}
        return self.model_dump(mode="json", exclude={*left_out, *at_default})
