"""Units and currencies: every spelling with the one name we compare by, and what one unit is in another."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

_SPELLINGS = {
    "um": "um \u03bcm mum micrometer micrometers micrometre micrometres micron microns",
    "nm": "nm nanometer nanometers nanometre nanometres",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm cms centimeter centimeters centimetre centimetres",
    "dm": "dm decimeter decimeters decimetre decimetres",
    "m": "m meter meters metre metres",
    "km": "km kms kilometer kilometers kilometre kilometres",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yard yards",
    "mi": "mi mile miles",
    "ha": "ha hectare hectares",
    "mg": "mg milligram milligrams",
    "g": "g gram grams",
    "kg": "kg kgs kilogram kilograms kilo kilos",
    "t": "t ton tons tonne tonnes",
    "lb": "lb lbs",
    "pound": "pound pounds",
    "oz": "oz ounce ounces",
    "ml": "ml cc milliliter milliliters millilitre millilitres",
    "cl": "cl centiliter centiliters centilitre centilitres",
    "l": "l liter liters litre litres",
    "ms": "ms millisecond milliseconds",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "year years yr yrs",
    "n": "n",
    "newton": "newton newtons",
    "kn": "kilonewton kilonewtons kn",
    "j": "j",
    "joule": "joule joules",
    "kj": "kj kilojoule kilojoules",
    "megajoule": "megajoule megajoules",
    "w": "w",
    "watt": "watt watts",
    "milliwatt": "milliwatt milliwatts",
    "kw": "kw kilowatt kilowatts",
    "megawatt": "megawatt megawatts",
    "gigawatt": "gigawatt gigawatts",
    "kwh": "kwh kilowatt-hour kilowatt-hours",
    "v": "v",
    "volt": "volt volts",
    "millivolt": "millivolt millivolts",
    "kv": "kv kilovolt kilovolts",
    "a": "a",
    "ampere": "ampere amperes amp amps",
    "milliampere": "milliampere milliamperes milliamp milliamps",
    "ohm": "ohm ohms omega \u03c9",
    "kohm": "kohm kilohm kilohms kiloohm kiloohms komega k\u03c9",
    "hz": "hz hertz",
    "khz": "khz kilohertz",
    "mhz": "mhz megahertz",
    "ghz": "ghz gigahertz",
    "pa": "pa pascal pascals",
    "kpa": "kpa kilopascal kilopascals",
    "mpa": "mpa megapascal megapascals",
    "mol": "mol mole moles",
    "cal": "cal calorie calories",
    "kcal": "kcal kilocalorie kilocalories",
    "k": "k",
    "kelvin": "kelvin kelvins",
    "\u00b0": "\u00b0 degree degrees deg",
    "\u00b0c": "\u00b0c celsius",
    "\u00b0f": "\u00b0f fahrenheit",
    "rad": "rad radian radians",
    "%": "% percent pct",
    "unit": "unit units",
    "dollar": "$ dollar dollars usd",
    "cent": "\u00a2 cent cents",
    "euro": "\u20ac euro euros eur",
    "pound sterling": "\u00a3 gbp",
    "yen": "\u00a5 yen jpy",
    "rupee": "\u20b9 rupee rupees inr",
    "yuan": "yuan rmb cny",
    "million": "million millions",
    "billion": "billion billions",
    "thousand": "thousand thousands",
    "mph": "mph",
    "km/h": "km/h kmh kph kmph",
    "m/s": "m/s mps",
}

UNITS: dict[str, str] = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()}
"""Every spelling, lower case, to the name of its unit."""

_LONG = ("mm", "cm", "m", "km", "in", "ft", "yd", "mi", "mg", "g", "kg", "ml", "l", "s", "min", "h")  # the units to spell out

LETTER_UNITS = frozenset("mghls")
"""Units of one letter that a number may carry on its own; the other letters are variables more often than units."""

GLUED_UNITS = frozenset(spelling for spelling in UNITS if len(spelling) > 1 or not spelling.isalpha()) | LETTER_UNITS
"""Units that may touch their number, as in "6cm"."""

CURRENCIES = frozenset(
    spelling for spelling, name in UNITS.items() if name in ("dollar", "cent", "euro", "pound sterling", "yen", "yuan", "rupee")
)
"""Spellings of money; they may stand before an amount."""

MULTIPLIERS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
"""Words behind a number that multiply it: "5 million"."""

# Name: what it is in the base units of its dimensions, each a letter with its power ("L2" an area); a name that is missing stands alone.
_SCALES: dict[str, tuple[str, str, int]] = {
    **{
        name: (scale, "L", 1)
        for name, scale in (("nm", "1e-9"), ("um", "1e-6"), ("mm", "1e-3"), ("cm", "1e-2"), ("dm", "0.1"), ("m", "1"), ("km", "1e3"))
    },
    **{name: (scale, "L", 1) for name, scale in (("in", "0.0254"), ("ft", "0.3048"), ("yd", "0.9144"), ("mi", "1609.344"))},
    **{name: (scale, "L", 3) for name, scale in (("ml", "1e-6"), ("cl", "1e-5"), ("l", "1e-3"))},
    "ha": ("1e4", "L", 2),
    **{name: (scale, "M", 1) for name, scale in (("mg", "1e-6"), ("g", "1e-3"), ("kg", "1"), ("oz", "0.028349523125"))},
    **dict.fromkeys(("lb", "pound"), ("0.45359237", "M", 1)),
    **{name: (scale, "T", 1) for name, scale in (("ms", "1e-3"), ("s", "1"), ("min", "60"), ("h", "3600"), ("day", "86400"))},
    "week": ("604800", "T", 1),
    "hz": ("1", "T", -1),
    "khz": ("1e3", "T", -1),
    "mhz": ("1e6", "T", -1),
    "ghz": ("1e9", "T", -1),
    "month": ("1", "calendar", 1),
    "year": ("12", "calendar", 1),
    **{name: (scale, "n", 1) for name, scale in (("newton", "1"), ("kn", "1e3"))},
    **{name: (scale, "j", 1) for name, scale in (("joule", "1"), ("kj", "1e3"), ("megajoule", "1e6"), ("kwh", "3.6e6"))},
    **{name: (scale, "w", 1) for name, scale in (("watt", "1"), ("milliwatt", "1e-3"), ("kw", "1e3"), ("megawatt", "1e6"))},
    "gigawatt": ("1e9", "w", 1),
    **{name: (scale, "v", 1) for name, scale in (("volt", "1"), ("millivolt", "1e-3"), ("kv", "1e3"))},
    **{name: (scale, "a", 1) for name, scale in (("ampere", "1"), ("milliampere", "1e-3"))},
    "kelvin": ("1", "k", 1),
    "kohm": ("1e3", "ohm", 1),
    "kpa": ("1e3", "pa", 1),
    "mpa": ("1e6", "pa", 1),
    "kcal": ("1e3", "cal", 1),
    "cent": ("0.01", "dollar", 1),
}
_ALIASES = {"mph": "mi/h"}
_POWERS_BELOW = ("1", "2", "3")
_POWERS = {"2": 2, "3": 3}


@lru_cache(maxsize=1024)
def spelled_out(word: str) -> tuple[str, ...]:
    """The plural long names of a unit written short, or its short name where it is written long; nothing for other words.

    >>> spelled_out("cm"), spelled_out("hours"), spelled_out("apples")
    (('centimeters', 'centimetres'), ('h',), ())
    """
    name = UNITS.get(word, "")
    if name not in _LONG:
        return ()
    if len(word) > len(name) and word not in ("ins", "sec", "secs", "mins", "hr", "hrs"):
        return (name,)
    return tuple(one for one in _SPELLINGS[name].split() if len(one) > 4 and one.endswith("s")) or ("feet",) * (name == "ft")


def read_unit(words: Sequence[str]) -> str:
    """The one name of a unit written in these pieces, "" when they are none.

    >>> read_unit(["square", "centimeters"]), read_unit("m s ^ - 2".split()), read_unit(["apples"])
    ('cm^2', 'm/s^2', '')
    """
    if len(words) > 2 and words[0] == "(" and words[-1] == ")":
        words = words[1:-1]
    if list(words) == ["per", "cent"]:
        return "%"
    if len(words) == 2 and words[0] == "\u00b0" and words[1] in ("c", "f", "celsius", "fahrenheit"):
        return f"\u00b0{words[1][0]}"
    factors: dict[str, int] = {}
    at, sign = 0, 1
    while at < len(words):
        if words[at] in ("/", "per", "*") and factors and at + 1 < len(words):
            sign, at = -1 if words[at] != "*" else 1, at + 1
        start = at
        name, power, at = _factor(words, at)
        if not name or (start and words[start - 1] not in ("/", "per", "*") and power > 0):
            return ""  # two units side by side are two units, unless the second is divided by: "m s^-1"
        if name == "ms" and power < 0 and not factors:  # the way "m s^-1" looks once its blank is lost
            factors, name = {"m": 1}, "s"
        factors[name] = factors.get(name, 0) + sign * power
    return _spelled(factors)


def _factor(words: Sequence[str], at: int) -> tuple[str, int, int]:
    """One unit with its power, and where the next begins; "" for no unit."""
    power = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}.get(words[at], 1)
    at += power > 1
    if power > 1 and at < len(words) and words[at] == ".":  # "sq. cm"
        at += 1
    if at >= len(words):
        return "", 1, at
    word = words[at]
    if word not in UNITS and word[-1:] in _POWERS and word[:-1] in ("mm", "cm", "dm", "m", "km", "in", "ft"):  # "cm2"
        return UNITS[word[:-1]], _POWERS[word[-1]], at + 1
    name, at = UNITS.get(word, ""), at + 1
    if at == len(words) - 2 and words[at] == "-" and at > 1 and words[at + 1] in _POWERS_BELOW:  # "m s-1"
        return name, -int(words[at + 1]), at + 2
    if at < len(words) and words[at] == "^":
        negative = words[at + 1 : at + 2] == ["-"]
        digits = words[at + 1 + negative : at + 2 + negative]
        if not digits or digits[0] not in ("1", "2", "3"):
            return "", 1, at
        power, at = int(digits[0]) * (-1 if negative else 1), at + 2 + negative
    return name, power, at


def _spelled(factors: dict[str, int]) -> str:
    """ "cm^2", "kg*m/s^2"; "" without factors."""
    above = "*".join(f"{name}^{power}" if power > 1 else name for name, power in factors.items() if power > 0)
    below = "/".join(f"{name}^{-power}" if power < -1 else name for name, power in factors.items() if power < 0)
    return f"{above}/{below}" if above and below else above or (f"1/{below}" if below else "")


@lru_cache(maxsize=1024)
def conversion(unit: str, other: str) -> Fraction | None:
    """How many `other` one `unit` is, exactly; None for units of different things (metres and seconds, °C and °F, dollars and euros).

    >>> conversion("m", "cm"), conversion("km/h", "m/s"), conversion("cm", "cm^2")
    (Fraction(100, 1), Fraction(5, 18), None)
    """
    (one, dimensions), (two, others) = _in_base_units(unit), _in_base_units(other)
    return one / two if dimensions == others else None


def _in_base_units(unit: str) -> tuple[Fraction, dict[str, int]]:
    scale, dimensions = Fraction(1), dict[str, int]()
    above, *below = _ALIASES.get(unit, unit).split("/")
    for sign, names in ((1, above.split("*")), (-1, below)):
        for factor in names:
            name, _, exponent = factor.partition("^")
            power = sign * int(exponent or 1)
            one, dimension, order = _SCALES.get(name, ("1", name, 1))
            scale *= Fraction(one) ** power
            if name not in ("unit", "1"):
                dimensions[dimension] = dimensions.get(dimension, 0) + order * power
    return scale, {dimension: power for dimension, power in dimensions.items() if power}
