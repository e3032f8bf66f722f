"""The same form and function as `ui_echo.py`, as anybody would write it in Gradio. Runs in Gradio's own environment."""

import sys
import time

import gradio as gr


def echo(text: str) -> tuple[str, int]:
    """Say it louder."""
    time.sleep(0.05)
    return text.upper(), len(text)


if __name__ == "__main__":
    app = gr.Interface(
        echo,
        gr.Textbox(label="Text"),
        [gr.Textbox(label="Text"), gr.Number(label="Length")],
        title="Echo",
        description="Say it louder.",
    )
    app.queue(default_concurrency_limit=40).launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
