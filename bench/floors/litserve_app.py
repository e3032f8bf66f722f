"""The same prediction served by LitServe with 2 workers; runs in its own virtual environment."""

from __future__ import annotations

import sys

import litserve


class Classify(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["text"]

    def predict(self, text):
        return {"label": text.strip().lower(), "score": len(text) / 100}

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Classify(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
