"""What all sections of a configuration share."""

from typing import Any, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys, field docstrings become help.

    A number where words belong is taken as it was written (`name=2026`), and words where a list
    belongs as its members (`track=tensorboard`, `teacher.axes=io,f`). True and false are no numbers,
    though Python counts them as 1 and 0.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _sound(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str) and "\x00" in value:
            raise ValueError("contains a NUL character")
        wanted = cls.model_fields[str(info.field_name)].annotation
        if get_origin(wanted) is tuple and not isinstance(value, list | tuple):
            words = value.split(",") if isinstance(value, str) else [value]
            value = [
                word.strip() if isinstance(word, str) else word for word in words if word != ""
            ]
        parts = value if isinstance(value, list | tuple) else [value]
        if wanted is not bool and any(isinstance(part, bool) for part in parts):
            raise ValueError("takes no true or false")
        return value
