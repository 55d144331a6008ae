"""The two browsers' items as JSON: sampled groups and held-out responses, with pictures stored once and texts cut into sections."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from r1vl_core.reasoning import paths
from r1vl_core.records import ScoredResponse
from r1vl_core.reporting.data import GroupView, HeldOutView, PathView, ReportData
from r1vl_core.reporting.pictures import data_uri
from r1vl_core.reporting.segments import Piece, cut

Payload = dict[str, Any]


def embedded_json(data: ReportData) -> str:
    """JSON that can stand inside a script element: no text in it can end the element or open another."""
    text = json.dumps(payload(data), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def payload(data: ReportData) -> Payload:
    """What the page's scripts read: `images` by name, and for each browser its `facets` (filters) and `items`."""
    images: dict[str, str] = {}
    return {
        "groups": {"facets": _group_facets(data.groups), "items": [_group(group, images) for group in data.groups]},
        "heldout": {
            "facets": _heldout_facets(data),
            "items": [_held_out(view, [policy.name for policy in data.policies], images) for view in data.heldout],
        },
        "images": images,
    }


def group_outcome(group: GroupView) -> str:
    """ "all-right", "all-wrong" or "mixed": whether the group's answers had anything to tell apart."""
    right = sum(path.verdict == "correct" for path in group.paths)
    return "all-wrong" if right == 0 else "all-right" if right == len(group.paths) else "mixed"


def _group(group: GroupView, images: dict[str, str]) -> Payload:
    outcome = group_outcome(group)
    right = sum(path.verdict == "correct" for path in group.paths)
    return {
        **_question(group.question, group.choices, group.gold, group.family, group.image, images),
        "title": f"Step {group.step}",
        "subtitle": group.question_id,
        "tone": {"all-right": "good", "all-wrong": "bad", "mixed": "mixed"}[outcome],
        "tile": f"{right}/{len(group.paths)}",
        "facets": {"step": [str(group.step)], "outcome": [outcome], "family": [group.family]},
        "key_steps": [list(forms) for forms in group.key_steps],
        "paths": [_path(path) for path in group.paths],
    }


def _path(path: PathView) -> Payload:
    return {
        "reward": path.reward,
        "step_rar": path.step_rar,
        "step_rvr": path.step_rvr,
        "advantage": path.advantage,
        "k": path.k,
        "verdict": path.verdict,
        "answer": path.answer,
        "missed": list(path.missed),
        "num_tokens": path.num_tokens,
        "truncated": path.truncated,
        "pieces": _pieces(cut(path.text, path.marks)),
        "defects": _defects(path.text),
        "forms": {str(mark.key_step): mark.form for mark in path.marks},
    }


def _held_out(view: HeldOutView, names: Sequence[str], images: dict[str, str]) -> Payload:
    right = [response.verdict == "correct" for response in view.responses]
    return {
        **_question(view.question, view.choices, view.gold, view.family, view.image, images),
        "title": f"Row {view.index}",
        "subtitle": view.family,
        "tone": "good" if all(right) else "bad" if not any(right) else "gained" if right[-1] else "lost",
        "tile": "".join("✓" if verdict else "✗" for verdict in right),
        "facets": {"outcome": _outcomes(right), "family": [view.family]},
        "responses": [_response(name, response) for name, response in zip(names, view.responses, strict=True)],
    }


def _response(name: str, response: ScoredResponse) -> Payload:
    return {
        "policy": name,
        "verdict": response.verdict,
        "answer": response.extracted,
        "rule": response.rule,
        "num_tokens": response.num_tokens,
        "truncated": response.truncated,
        "pieces": _pieces(cut(response.response)),
        "defects": _defects(response.response),
    }


def _outcomes(right: Sequence[bool]) -> list[str]:
    outcomes = [f"{'right' if verdict else 'wrong'}-{i}" for i, verdict in enumerate(right)]
    if len(set(right)) > 1:
        outcomes += ["changed", "gained" if right[-1] else "lost"]
    return outcomes


def _question(question: str, choices: Iterable[tuple[str, str]], gold: str, family: str, image: bytes, images: dict[str, str]) -> Payload:
    name = hashlib.sha256(image).hexdigest()[:16]
    if name not in images:
        images[name] = data_uri(image)
    return {"question": question, "choices": [list(choice) for choice in choices], "gold": gold, "family": family, "image": name}


def _pieces(pieces: Iterable[Piece]) -> list[list[Any]]:
    return [[piece.kind, piece.label, [[text, list(matched)] for text, matched in piece.runs]] for piece in pieces]


def _defects(text: str) -> list[str]:
    return [defect.value.replace("_", " ") for defect in paths.parse(text).defects]


def _facet(key: str, label: str, options: Iterable[tuple[str, str]]) -> Payload:
    return {"key": key, "label": label, "options": [list(option) for option in options]}


def _group_facets(groups: Sequence[GroupView]) -> list[Payload]:
    steps = sorted({group.step for group in groups})
    return [
        _facet("step", "Step", ((str(step), f"Step {step}") for step in steps)),
        _facet("outcome", "Answers", (("all-right", "All right"), ("mixed", "Mixed"), ("all-wrong", "All wrong"))),
        _family_facet(group.family for group in groups),
    ]


def _heldout_facets(data: ReportData) -> list[Payload]:
    options = [(f"{verdict}-{i}", f"{policy.name} {verdict}") for i, policy in enumerate(data.policies) for verdict in ("right", "wrong")]
    if len(data.policies) > 1:
        options += [("changed", "Changed"), ("gained", "Changed: wrong to right"), ("lost", "Changed: right to wrong")]
    return [_facet("outcome", "Outcome", options), _family_facet(view.family for view in data.heldout)]


def _family_facet(families: Iterable[str]) -> Payload:
    return _facet("family", "Family", ((family, family) for family in sorted(set(families) - {""})))
