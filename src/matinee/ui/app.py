"""What every page view runs (`script/page.py`): the pages of what is live now, and the sidebar that leads to them."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from matinee.client import core
from matinee.errors import MatineeError, NotFoundError
from matinee.manifest import ComponentManifest, Release
from matinee.ui import notices, session, site, text
from matinee.ui.pages import custom, history, insights, predict, rows, run
from matinee.ui.sign_in import SIGN_OUT
from matinee.ui.site import Look, OwnPage, apply_theme, look_of
from matinee.ui.text import escaped, humanize

ICON = Path(__file__).with_name("icon.svg")  # an icon by name would be asked of a server far away
# Streamlit leaves a seventh of the screen empty. The rest is for eyes and keyboards: its small print, the choice that
# is made and its coloured code are too pale to read (4.5 to 1 is asked for), and no key scrolls a long line of code.
STYLE = """<style>
.stMainBlockContainer{padding-top:3rem}
[data-testid=stCaptionContainer]{color:inherit;opacity:.8}
.stButtonGroup button[data-selected]{color:inherit!important}
pre,pre code{white-space:pre-wrap!important;overflow-wrap:anywhere}
.matinee-values{display:flex;flex-wrap:wrap;gap:1rem 4rem}
.matinee-values,.matinee-values :is(dt,dd){margin:0!important;padding:0!important}
.matinee-values dt{font-size:.875rem}
.matinee-values dd{font-size:2.25rem;line-height:1.4;overflow-wrap:anywhere}
.matinee-result{scroll-margin-top:4.5rem;overflow-wrap:anywhere}
.matinee-result p{margin:0 0 .5rem;font-size:.875rem}
.matinee-result .matinee-older-words{font-weight:600}
.matinee-result:not(.matinee-older) .matinee-older-words{display:none}
.matinee-scroll{overflow-x:auto}
.matinee-table{border-collapse:collapse;font-size:.875rem}
.matinee-table :is(th,td){padding:.35rem .75rem .35rem 0;text-align:start;vertical-align:top;overflow-wrap:break-word}
.matinee-table :is(th,td){border-bottom:1px solid color-mix(in srgb,currentColor 20%,transparent)}
.matinee-table :is(th,td){min-width:5rem;max-width:30rem}
.matinee-table th{font-weight:600}
.matinee-table .matinee-number{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}
.matinee-table details{white-space:pre-wrap}
.matinee-table details[open] summary{font-size:0}
.matinee-table details[open] summary::after{content:"Show less";font-size:.875rem}
.stMain:has(.st-key-busy [data-testid=stAlert]) [class*=st-key-go-] button{pointer-events:none;opacity:.5}
.token{color:inherit!important}
.token:is(.keyword,.function){font-weight:600}
</style>"""
STARTING_S = 0.5  # how often a page looks for the first release
SECTIONS = (("realtime", "Right now"), ("batch", "In the background"))


def main() -> None:
    """Draw the page that was asked for."""
    try:
        release = session.release()
    except NotFoundError:
        _starting()
        return
    except MatineeError as error:
        st.set_page_config(page_title="Matinee", layout="centered")
        text.show_error(error)
        return
    text.show_errors_of(_draw)(release)


def _draw(release: Release) -> None:
    look = look_of(release)
    if apply_theme(look):
        st.rerun()
    core.provide(session.client)
    pages, aliases, draws = _pages(release, look)
    current = st.navigation([*pages.values(), *aliases], position="hidden")
    st.set_page_config(
        page_title=f"{current.title} · {_title(release)}", page_icon=look.page_icon or ICON, layout="centered"
    )
    st.html(STYLE)
    site.remember(pages)
    _sidebar(release, look)
    # Not `current.run()`: a browser sends with a change of page what is filled in, but not what is a page's own.
    draws[current.url_path or next(iter(draws))]()


def _title(release: Release) -> str:
    return release.title or humanize(release.app)


def _pages(release: Release, look: Look) -> tuple[dict[str, Any], list[Any], dict[str, Callable[[], None]]]:
    """Return the pages by address; the first one once more at its own, as the home page has none; what draws them."""
    own = {_address(page, release): (page.title, _drawing(custom.draw_custom, page, look)) for page in look.pages}
    draws: dict[str, tuple[str, Callable[[], None]]] = {path: own[path] for path in own if path == site.HOME}
    draws |= {site.path_of(p.name): (humanize(p.name), _drawing(predict.draw, p, release)) for p in release.predictors}
    draws |= own
    for broken in release.components:
        if broken.trouble:
            draws[_trouble_path(broken)] = (humanize(broken.name), _drawing(draw_component, broken))
    draws[site.HISTORY] = ("History", _drawing(history.draw, release))
    draws[site.RUN] = ("Run", _drawing(run.draw, release))
    draws[site.ROWS] = ("Many rows", _drawing(rows.draw, release))
    if session.client().owner:
        draws[site.INSIGHTS] = ("Insights", _drawing(insights.draw, release))
    if look.about:
        draws[site.ABOUT] = ("About", _drawing(custom.draw_about, look))
    home = next(iter(draws))
    pages = {path: _page(path, *parts, is_home=path == home) for path, parts in draws.items()}
    return pages, [_page(home, *draws[home], is_home=False)], {path: draw for path, (_, draw) in draws.items()}


def _page(path: str, title: str, draw: Callable[[], None], *, is_home: bool) -> Any:
    return st.Page(draw, title=title, url_path="" if is_home else path, default=is_home)


def _drawing(draw: Callable[..., None], *values: Any) -> Callable[[], None]:
    """Return what Streamlit calls for a page: it wants a function without arguments."""

    def drawn() -> None:
        draw(*values)

    return drawn


def _trouble_path(broken: ComponentManifest) -> str:
    return f"component-{broken.name}"


def _sidebar(release: Release, look: Look) -> None:
    if look.logo and look.logo.is_file():
        st.logo(str(look.logo))
    with st.sidebar:
        st.header(escaped(_title(release)), anchor=False)
        notices.badge()
        own = [(_address(page, release), page) for page in look.pages if not page.replaces]
        _own_links([(path, page) for path, page in own if page.is_home])
        for kind, heading in SECTIONS:
            names = [p.name for p in release.predictors if p.kind == kind]
            _section(heading, site.ICONS[kind], [site.path_of(name) for name in names])
        broken = [_trouble_path(c) for c in release.components if c.trouble]
        _section("Needs attention", ":material/warning:", broken)
        _own_links([(path, page) for path, page in own if not page.is_home], "More")
        _section("So far", ":material/history:", [site.HISTORY])
        _section("", ":material/query_stats:", [site.INSIGHTS] if site.knows(site.INSIGHTS) else [])
        _section("", ":material/info:", [site.ABOUT] if site.knows(site.ABOUT) else [])
        draw_sidebar()


def _address(page: OwnPage, release: Release) -> str:
    if page.is_home:
        return site.HOME
    if page.replaces:
        return site.path_of(page.replaces)
    is_taken = page.path in site.RESERVED or release.predictor(page.path) is not None
    return f"{page.path}-page" if is_taken else page.path


def _own_links(own: list[tuple[str, OwnPage]], heading: str = "") -> None:
    if own and heading:
        st.caption(heading)
    for path, page in own:
        site.link(path, escaped(page.title), icon=page.shown_icon)


def _section(heading: str, icon: str, paths: list[str]) -> None:
    if paths and heading:
        st.caption(heading)
    for path in paths:
        site.link(path, escaped(site.page(path).title), icon=icon)


def _starting() -> None:
    """Before the first release: say so and look again by itself."""
    st.set_page_config(page_title="Matinee", layout="centered")
    st.fragment(_wait, run_every=STARTING_S)()


def _wait() -> None:
    try:
        session.release()
    except NotFoundError:
        st.info("The app is being prepared. This page opens by itself.", icon=":material/hourglass_empty:")
    else:
        st.rerun()


# --- the sidebar ------------------------------------------------------------------------------------------------------
# Who is signed in, and the way out, in the sidebar.


def draw_sidebar() -> None:
    """Draw it, where people sign in at all."""
    if session.gate().is_open:
        return
    name = html.escape(session.person().name)
    st.html(f'<small>Signed in as {name} · <a href="{SIGN_OUT}" target="_self">Sign out</a></small>')


# --- a component that fails to load -----------------------------------------------------------------------------------
# The page of a component that does not load: why, where, and what to do.


def draw_component(component: ComponentManifest) -> None:
    """Draw the page."""
    st.title(escaped(humanize(component.name)))
    trouble = component.trouble
    if trouble is None:
        return
    st.error(escaped(trouble.message), icon=":material/error:")
    if trouble.file:
        st.code(f"{trouble.file}:{trouble.line}" if trouble.line else trouble.file, language=None)
    if trouble.hint:
        st.markdown(escaped(trouble.hint))
    st.caption("The other pages keep working. Save the file to try again.")
