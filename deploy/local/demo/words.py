"""Words for the products of the Complete Journey data, whose own are cashier's shorthand."""

from __future__ import annotations

import re
from typing import Final

# What the data shorten, and how a shopper would read it.
LONG_FORMS: Final = {
    "APPL": "apple",
    "ASST": "assorted",
    "BBQ": "barbecue",
    "BEERALEMALT": "beer, ale and malt",
    "BEV": "beverage",
    "BKD": "baked",
    "BRD": "breaded",
    "BTL": "bottle",
    "BTR": "butter",
    "CARB": "carbonated",
    "CATFD": "cat food",
    "CHIX": "chicken",
    "CHOC": "chocolate",
    "CND": "canned",
    "CNDY": "candy",
    "CRAN": "cranberry",
    "CRBNTD": "carbonated",
    "CRMD": "creamed",
    "DNRS": "dinners",
    "DOGFD": "dog food",
    "DRNK": "drink",
    "DRNKING": "drinking",
    "DRNKNG": "drinking",
    "DRSNG": "dressing",
    "DSH": "dish",
    "FD": "food",
    "FDS": "foods",
    "FEM": "feminine",
    "FLVR": "flavored",
    "FLVRD": "flavored",
    "FRD": "fried",
    "FRSH": "fresh",
    "FRZ": "frozen",
    "FRZN": "frozen",
    "GDS": "goods",
    "GM": "general",
    "GRND": "ground",
    "HSHLD": "household",
    "HYGN": "hygiene",
    "INCL": "",
    "JCE": "juice",
    "MISC": "miscellaneous",
    "MLK": "milk",
    "MLT": "multi",
    "MNRL": "mineral",
    "MXS": "mixes",
    "OJ": "orange juice",
    "OTH": "other",
    "PCKGD": "packaged",
    "PKG": "package",
    "PKGD": "packaged",
    "PKLD": "pickled",
    "PLSTC": "plastic",
    "PNCH": "punch",
    "PREM": "premium",
    "PREP": "prepared",
    "PWDRS": "powders",
    "REFRGRATD": "chilled",
    "REFRIGERATED": "chilled",
    "SALD": "salad",
    "SAUCESSALSAPICANTEE": "sauces, salsa and picante",
    "SAUS": "sausage",
    "SFT": "soft",
    "SGL": "single",
    "SHERBTS": "sherbets",
    "SNDWCH": "sandwich",
    "SNGL": "single",
    "SNKS": "snacks",
    "SPLY": "supply",
    "SPRD": "spread",
    "SRV": "serve",
    "STK": "stick",
    "SUP": "super",
    "SYRP": "syrup",
    "TORT": "tortilla",
    "VEG": "vegetable",
    "WAT": "water",
    "WATE": "water",
    "WHL": "whole",
    "WRA": "wraps",
    "WT": "weight",
    "WTR": "water",
}


def readable(shorthand: str) -> str:
    """Cashier's shorthand as words: ``"FRZN BAGGED VEGETABLES- VALUE"`` → ``"Frozen bagged …"``."""
    text = re.sub(r"\([^)]*$", "", shorthand)  # cut off in the data: "SUP PREM (GR"
    text = re.sub(r"\s*-\s+|\s+-\s*", " - ", text)
    words = re.split(r"([^A-Z0-9']+)", text.upper())
    text = "".join(LONG_FORMS.get(word, word.lower()) for word in words)
    text = " ".join(text.split()).strip(" -:/.,&")
    return text[:1].upper() + text[1:]


def title(
    product_type: str | None,
    category: str | None,
    department: str,
    package_size: str | None,
    brand: str,
) -> str:
    """A product's title: what it is, how much of it, and whether it is the shop's own brand."""
    name = readable(product_type or category or department) or "Product"
    if category and len(name.split()) == 1 and name.lower() not in category.lower():
        name = f"{readable(category)}: {name.lower()}"  # "Premium" says little without its sauce
    size = " ".join((package_size or "").lower().split())
    own = "store brand" if brand == "Private" else ""
    return ", ".join(part for part in (name, size, own) if part)


def category_path(*names: str | None) -> list[str]:
    """Readable categories from the widest to the narrowest, without gaps and repeats."""
    path: list[str] = []
    for name in filter(None, names):
        words = readable(name)
        if words and words not in path:
            path.append(words)
    return path
