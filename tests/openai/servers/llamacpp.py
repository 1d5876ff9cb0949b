"""llama.cpp's own HTTP server, from the wheel of the embedded engine, until its input ends.

    python llamacpp.py WEIGHTS KEY [TEMPLATE]

Prints its address when it can answer.  It listens on this machine only.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path


def main() -> None:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    import xllamacpp

    weights, key, *template = sys.argv[1:]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 4096, 2, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.verbosity, params.warmup, params.fit_params, params.ui = -1, False, False, False
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], port, [key]
    params.use_jinja = True
    if template:
        params.chat_template = Path(template[0]).read_text()
    server = xllamacpp.Server(params)
    server.handle_completions({"prompt": "a", "max_tokens": 1})
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
