"""The theme's icons, without Font Awesome's half megabyte of script: a font of those in use."""

import re
import shutil
from pathlib import Path

import pydata_sphinx_theme
from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

from web.pages import written

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
FONTS = "vendor/fontawesome/webfonts"
STYLE = "styles/pydata-sphinx-theme.css"
ICON_RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"\\?([^"]+)"\}')
FONT_RULE = re.compile(r"@font-face\{[^}]*/(fa-[\w-]+)\.woff2[^}]*\}")
# Icons that the style itself shows: marks of admonitions, and a folded list of contents.
OWN_ICON = re.compile(r'--pst-icon-[\w-]+:"\\?([^"]+)"')
FOLDED = 0xF107


def setup(app: Sphinx) -> None:
    """Replaces the theme's files in the built book (its pages never name the script)."""
    app.connect("build-finished", reduce_icons)


def reduce_icons(app: Sphinx, exception: Exception | None) -> None:
    """Keeps the rules and the glyphs of the icons that a page or the style shows."""
    pages = written(app, exception).values()
    if not pages:
        return
    static = Path(app.outdir) / "_static"
    rules = (THEME / STYLE).read_text("utf-8")
    used = {name for page in pages for name in re.findall(r"\bfa-[\w-]+", page)}
    shown = {FOLDED, *map(character, OWN_ICON.findall(rules))}
    for names, code in ICON_RULE.findall(rules):
        if used & icons(names):
            shown.add(character(code))
    shutil.rmtree(static / FONTS, ignore_errors=True)
    for name in ("fa-solid-900", "fa-brands-400"):
        write_font(name, shown, static / FONTS)
    rules = ICON_RULE.sub(lambda rule: rule[0] if used & icons(rule[1]) else "", rules)
    (static / STYLE).write_text(FONT_RULE.sub(font_rule, rules), "utf-8")
    for file in [static / "scripts/fontawesome.js", *static.rglob("*.map")]:
        file.unlink(missing_ok=True)


def icons(selectors: str) -> set[str]:
    """The names in the selectors of an icon's rule."""
    return set(re.findall(r"fa-[\w-]+", selectors))


def character(code: str) -> int:
    """The number of a character that a style writes as itself or in hexadecimal."""
    return int(code, 16) if len(code) > 1 else ord(code)


def write_font(name: str, codes: set[int], folder: Path) -> None:
    """Writes the part of a font that has the given characters."""
    folder.mkdir(parents=True, exist_ok=True)
    font = TTFont(THEME / FONTS / f"{name}.ttf")
    part = subset.Subsetter(subset.Options(layout_features=[]))
    part.populate(unicodes=codes)
    part.subset(font)
    font.flavor = "woff"
    font.save(folder / f"{name}.woff")


def font_rule(rule: re.Match[str]) -> str:
    """The rule that loads a font, of the smaller file; none for the weight not in use."""
    source = f'src:url(../{FONTS}/{rule[1]}.woff) format("woff")'
    kept = re.sub(r"src:[^;}]*", lambda _: source, rule[0])
    return "" if rule[1] == "fa-regular-400" else kept
