"""Languages: what is surely another one is named; formulas, names and short texts are nobody's."""

from __future__ import annotations

import pytest

from r1vl_core.config import Curate
from r1vl_core.data.curate import judge
from r1vl_core.data.language import foreign_language
from tests.core.data.samples import Curated, Folder, record


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Quelle est la longueur totale du segment rouge sur cette image ?", "fr"),
        ("Wie groß ist der Winkel zwischen den beiden Geraden in der Abbildung?", "de"),
        ("¿Cuál es el valor de la barra más alta del gráfico?", "es"),
        ("求三角形ABC的面积是多少", "zh"),
        ("Чему равна площадь треугольника на рисунке?", "ru"),
        ("What is the sum of the digits in row 1?", None),
        ("In the given figure, if PQ ∥ RS, ∠MXQ = 135° and ∠MYR = 40°, find ∠XMY.", None),
        ("As shown in the figure, AB is the diameter of circle O, then the measure of angle D is", None),
        ("AB = 12, BC = 5", None),
        ("x^2 + y^2 = 4", None),
        ("", None),
        ("A: 12", None),
        # The model alone is sure that this is Cornish.
        ("Row 1: blue 8 2 green 5.\nRow 2: red 2 yellow 2 1.\nRow 3: 2 8 2.", None),
    ],
)
def test_what_is_surely_another_language_is_named(text: str, found: str | None) -> None:
    assert foreign_language(text, "en") == found


def test_any_language_unless_the_preset_names_one(folder: Folder) -> None:
    folder.picture("0.png")
    records = [record("Quelle est la longueur totale du segment rouge sur cette image ?"), record("What is the sum of both digits?")]
    reasons = {}
    for language in ("", "en", "fr"):
        found = Curated.of(judge(folder.read(records), folder.checks(Curate(language=language))))
        reasons[language] = [(one.row, one.reason) for one in found.rejected]
    assert reasons == {"": [], "en": [(1, "other_language")], "fr": [(2, "other_language")]}
