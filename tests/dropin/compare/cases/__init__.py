"""The calls that both SDKs make, by name."""

from __future__ import annotations

from cases import asking, chatting, forms, replying, serving

CASES = {
    **forms.CASES,
    **asking.CASES,
    **replying.CASES,
    **chatting.CASES,
    **serving.CASES,
}
