"""What does `.env` hold?  Every line of it, or the first that can't be understood."""

from __future__ import annotations

import io
import re
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Original, parse_stream

from sensus.errors import ConfigurationError

NAME = ".env"


def read(prefix: str) -> dict[str, str | None]:
    """The variables of the file; none where there is no such file.

    Raises ConfigurationError, in one line, for what would be left out otherwise: a line that can't be understood, and
    one of a variable with this prefix that gives it no value.
    """
    try:
        for line in parse_stream(io.StringIO(Path(NAME).read_text("utf-8"))):
            is_alone = line.value is None and line.key is not None and line.key.startswith(prefix)
            if line.error or is_alone:
                # The line itself is not shown, since it may hold a secret.
                where = f"{NAME}, line {_number(line.original)}"
                raise ConfigurationError(f"{where}: must be NAME=VALUE; a quote that is opened must be closed")
        return dotenv_values(NAME)
    except (FileNotFoundError, IsADirectoryError):
        return {}  # A folder of this name is somebody's virtual environment.
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{NAME} can't be read: it is not UTF-8") from error
    except OSError as error:
        raise ConfigurationError(f"{NAME} can't be read: {error.strerror}") from error


def _number(original: Original) -> int:
    # What is told begins with the blank lines before it.
    blank = original.string[: len(original.string) - len(original.string.lstrip())]
    return original.line + len(re.findall(r"\r\n|\r|\n", blank))
