"""Hand-made questions of other kinds than the bundled world's, each with an honest path: what the strict rewards must leave alone."""

from __future__ import annotations

from r1vl_core.reasoning.paths import render
from r1vl_core.records import Question


def _question(
    name: str,
    text: str,
    answer: str,
    path: tuple[str, str, list[str]],
    key_steps: list[list[str]],
    choices: dict[str, str] | None = None,
) -> Question:
    description, rationale, steps = path
    return Question(
        id=name,
        source="hand",
        image="",
        image_sha256="",
        text=text,
        choices=tuple((choices or {}).items()),
        answer=answer,
        reference_path=render(description, rationale, steps, answer),
        key_steps=tuple(tuple(forms) for forms in key_steps),
    )


QUESTIONS = (
    _question(
        "parallel_lines",
        "In the figure, AB is parallel to CD and angle 1 = 50 degrees. What is the measure of angle 3?",
        "C",
        (
            "Two parallel lines AB and CD are cut by a transversal. Angle 1 is marked 50 degrees; angle 2 corresponds to it.",
            "Use corresponding angles, then the straight angle.",
            [
                "Since AB ∥ CD, corresponding angles are equal, so $\\angle 2 = \\angle 1 = 50^\\circ$.",
                "Angles 2 and 3 form a straight line, so ∠2 + ∠3 = 180°.",
                "Therefore ∠3 = 180° - 50° = 130°. This matches option C.",
            ],
        ),
        [["angle 2 = angle 1", "∠2 = ∠1"], ["∠2 + ∠3 = 180°", "angle 2 + angle 3 = 180 degrees"], ["180° - 50° = 130°", "180 - 50 = 130"]],
        {"A": "40°", "B": "50°", "C": "130°", "D": "150°"},
    ),
    _question(
        "right_triangle",
        "A ladder of 13 m leans against a wall. Its foot is 5 m from the wall. How high does it reach?",
        "12 m",
        (
            "A right triangle: the ladder is the hypotenuse, the wall and the ground are the legs.",
            "The theorem of Pythagoras gives the missing leg.",
            [
                "Let h be the height. The ladder, the wall and the ground form a right triangle, so h² + 5² = 13².",
                "This gives h² = 169 - 25 = 144.",
                "A height is not negative, so $h = \\sqrt{144} = 12$.",
            ],
        ),
        [["h^2 + 5^2 = 13^2", "h² + 5² = 13²"], ["169 - 25 = 144"], ["\\sqrt{144} = 12", "h = 12"]],
    ),
    _question(
        "bar_chart",
        "The bar chart shows the fruit sold on Monday. By how many do the apples exceed the pears?",
        "15",
        (
            "A bar chart with three bars: apples 40, pears 25, plums 10.",
            "Read both bars and subtract.",
            ["The bar of the apples reaches 40.", "The bar of the pears reaches 25. No other bar matters here.", "40 - 25 = 15"],
        ),
        [["apples reaches 40", "40 apples"], ["pears reaches 25", "25 pears"], ["40 - 25 = 15"]],
    ),
    _question(
        "food_web",
        "Which animal in this food web eats both grass and insects?",
        "B",
        (
            "Arrows lead from grass to the rabbit and the mouse, and from the insects to the mouse and the bird.",
            "Follow the arrows that start at the grass and at the insects.",
            [
                "From the grass, arrows lead to the rabbit and the mouse.",
                "From the insects, arrows lead to the mouse and the bird.",
                "The rabbit does not eat insects and the bird does not eat grass; only the mouse has both arrows.",
            ],
        ),
        [["rabbit and the mouse"], ["mouse and the bird"], ["only the mouse"]],
        {"A": "the rabbit", "B": "the mouse", "C": "the bird"},
    ),
    _question(
        "quadratic",
        "The parabola in the picture is y = x^2 - 5x + 6. Where does it cut the x axis?",
        "x = 2 or x = 3",
        (
            "A parabola that opens upwards and cuts the x axis twice.",
            "Set y to zero and factor.",
            [
                "On the x axis y is 0: x^2 - 5x + 6 = 0.",
                "The left side factors, (x - 2)(x - 3) = 0.",
                "A product is zero when a factor is: x = 2 or x = 3.",
            ],
        ),
        [["x^2 - 5x + 6 = 0"], ["(x - 2)(x - 3) = 0"], ["x = 2"]],
    ),
    _question(
        "circuit",
        "Two resistors of 4 ohm and 8 ohm are in series with a battery of 24 V. What current flows?",
        "2 A",
        (
            "A battery of 24 V with two resistors one behind the other.",
            "Add the resistances, then apply Ohm's law.",
            ["In series the resistances add up: R = 4 + 8 = 12 ohm.", "By Ohm's law I = U/R = 24/12 = 2 A."],
        ),
        [["4 + 8 = 12"], ["24/12 = 2", "\\frac{24}{12} = 2", "24 divided by 12 equals 2"]],
    ),
    _question(
        "mean",
        "What is the mean of the five numbers in the table?",
        "7",
        (
            "A table with one row of five numbers: 3, 5, 7, 9 and 11.",
            "Add all numbers, then divide by how many there are.",
            ["The numbers are 3, 5, 7, 9 and 11; there are 5 of them.", "3 + 5 + 7 + 9 + 11 = 35", "Mean: 35 / 5 = 7"],
        ),
        [["3 + 5 + 7 + 9 + 11 = 35"], ["35 / 5 = 7", "\\frac{35}{5} = 7"]],
    ),
    _question(
        "circle",
        "A circle has a radius of 3 cm. What is its area?",
        "9π cm²",
        (
            "A circle with its radius drawn, marked 3 cm.",
            "Put the radius into the formula of the area.",
            ["The area of a circle is A = πr².", "With r = 3 cm the area is A = π · 3² = 9π cm²."],
        ),
        [["A = πr^2", "A = \\pi r^2"], ["3² = 9π", "9π"]],
    ),
)
"""Geometry with and without choices, a chart, biology, algebra, physics, statistics."""
