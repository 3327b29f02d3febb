"""Python 3.11 runs SkyRL 0.3.0 too: pydantic asks it for another TypedDict than 3.12."""

import sys
import typing

if sys.version_info < (3, 12):
    import typing_extensions

    typing.TypedDict = typing_extensions.TypedDict  # type: ignore[misc,assignment]
