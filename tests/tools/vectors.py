"""What the vector generators share: C text, and the frame of a generated header."""

import textwrap


def c_string(data, indent="\t"):
    """Bytes as hexadecimal C text, in lines that fit."""
    lines = textwrap.wrap(data.hex(), 88) or [""]
    return "\n".join(f'{indent}"{line}"' for line in lines)


def c_text(text, indent="\t"):
    """Text as C strings, one for each line."""
    lines = text.splitlines(keepends=True) or [""]
    return "\n".join(
        indent + '"' + line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        for line in lines
    )


def header(tool, about, body):
    return f"/* clang-format off */\n/* {about}\n * Made by tests/tools/{tool}; do not edit. */\n{body}"
