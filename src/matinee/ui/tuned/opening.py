"""What each run of the script tells its page first: settings, theme and pages, remembered from the session's last run.

Streamlit reads them anew from its settings each time, a twentieth of a click, and they hardly ever change.
"""

from __future__ import annotations

import functools
from typing import Any

_look = 0  # how often the settings were changed


def forget() -> None:
    """Have every session read the settings again; to be called when one was changed."""
    global _look
    _look += 1


def remember() -> None:
    """Have all sessions of this process remember. Streamlit has no setting for it: one of its methods changes."""
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from streamlit.runtime import app_session
    from streamlit.runtime.app_session import AppSession

    create = AppSession._create_new_session_message
    if hasattr(create, "__wrapped__"):
        return

    @functools.wraps(create)
    def told(self: Any, page: str, run: Any, pages: Any = None) -> Any:
        what = (_look, page, pages, self._run_on_save, self._state)
        known_of, known = self.__dict__.get("_opening", (None, None))
        if known_of != what:
            known = create(self, page, run, pages)
            self._opening = (what, known)
        message = ForwardMsg()
        message.new_session.CopyFrom(known.new_session)
        app_session._set_run_identity(message, run)
        return message

    AppSession._create_new_session_message = told
