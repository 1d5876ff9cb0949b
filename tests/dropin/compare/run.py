"""Makes every call with one SDK and writes what came of it: python run.py new|rest|grpc OUT."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from plain import plain, raised
from scripted import Script, serve_grpc, serve_http

warnings.simplefilter("ignore")
for variable in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ.pop(variable, None)


def load(sdk: str, script: Script) -> Any:
    """Return the SDK, told where the server is."""
    address = serve_http(script)
    if sdk == "new":
        import multiturn
        from multiturn import caching, dropin

        dropin.install()
        import google.generativeai as genai

        multiturn.configure(api_key="a-key-of-tests", client_options={"api_endpoint": address})
        assert genai.caching is caching
        return genai
    import google.generativeai as genai

    genai.configure(
        api_key="a-key-of-tests", transport="rest", client_options={"api_endpoint": address}
    )
    if sdk == "grpc":
        _use_grpc(serve_grpc(script))
    return genai


def _use_grpc(address: str) -> None:
    import grpc
    from google.ai import generativelanguage as glm
    from google.ai.generativelanguage_v1beta.services.generative_service import transports
    from google.generativeai import client

    transport = transports.GenerativeServiceGrpcTransport(channel=grpc.insecure_channel(address))
    clients = client._client_manager.clients
    clients["generative"] = glm.GenerativeServiceClient(transport=transport)

    class AsyncClients(dict):  # a channel belongs to an event loop, of which each call has one
        def get(self, name: str, default: Any = None) -> Any:
            if name != "generative_async":
                return super().get(name, default)
            channel = grpc.aio.insecure_channel(address)
            aio = transports.GenerativeServiceGrpcAsyncIOTransport(channel=channel)
            return glm.GenerativeServiceAsyncClient(transport=aio)

    client._client_manager.clients = AsyncClients(clients)


def main(sdk: str, out: str, only: str = "") -> None:
    from cases import CASES

    script = Script()
    genai = load(sdk, script)
    outcomes = {}
    for name, call in CASES.items():
        if only and only not in name:
            continue
        script.play()
        try:
            gave: Any = plain(call(genai, script.play))
        except Exception as error:
            gave = raised(error)
        outcomes[name] = {"gave": gave, "asked": [dict(one) for one in script.asked]}
    Path(out).write_text(json.dumps(outcomes, indent=1, sort_keys=True, default=repr))
    sys.stdout.flush()
    os._exit(0)  # gRPC's threads need not be waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
