"""A page whose words follow the visitor's language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import gradio as gr

from src.demo.words import LANGUAGES, language_of, say
from src.utils.cli import InputError

Result = TypeVar("Result")


class Speaking:
    """Makes components with words by key, and says what changes when another language is chosen."""

    def __init__(self) -> None:
        self._words: list[tuple[Any, str, Any]] = []

    def make(self, kind: Callable[..., Any], **properties: Any) -> Any:
        """``kind(**properties)``; ``label`` and ``value`` may be keys behind ``"say:"``, ``choices`` a list of keys."""
        said = {name: value for name, value in properties.items() if name == "choices" or _is_key(value)}
        component = kind(**{**properties, **{name: _spoken(value, LANGUAGES[0]) for name, value in said.items()}})
        self._words += [(component, name, value) for name, value in said.items()]
        return component

    @staticmethod
    def choice() -> gr.Radio:
        """Where the visitor chooses a language."""
        return gr.Radio(list(LANGUAGES), value=LANGUAGES[0], show_label=False, container=False, elem_id="language")

    def follow(self, language: gr.Radio, page: gr.Blocks) -> None:
        """All words follow ``language``, which begins as what the visitor's browser asks for."""
        language.change(self.in_language, language, self.components, show_progress="hidden")
        page.load(_asked_for, None, language, show_progress="hidden")

    @property
    def components(self) -> list[Any]:
        return list(dict.fromkeys(component for component, _, _ in self._words))

    def in_language(self, language: str) -> list[Any]:
        """Updates of :attr:`components`."""
        changes: dict[Any, dict[str, Any]] = {component: {} for component in self.components}
        for component, name, value in self._words:
            changes[component][name] = _spoken(value, language)
        return [gr.update(**change) for change in changes.values()]


def shown(**properties: Any) -> gr.Image:
    """A picture to look at and to keep; not to be sent to others' servers, as gradio offers."""
    return gr.Image(format="jpeg", interactive=False, buttons=["download", "fullscreen"], **properties)


def told(work: Callable[[], Result], key: str, language: str) -> Result:
    """``work()``, its InputError as a sentence in the page that begins with the words of ``key``."""
    try:
        return work()
    except InputError as error:
        raise refusal(key, language, ": ".join(part for part in error.args[1:] if part)) from None


def refusal(key: str, language: str, why: str = "") -> Exception:
    """What the page shows instead of an answer."""
    return gr.Error(f"{say(key, language)}: {why}" if why else say(key, language), print_exception=False)


def _asked_for(request: gr.Request) -> str:
    return language_of(request.headers.get("accept-language", ""))


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("say:")


def _spoken(value: Any, language: str) -> Any:
    return [(say(key, language), key) for key in value] if isinstance(value, list) else say(value[4:], language)
