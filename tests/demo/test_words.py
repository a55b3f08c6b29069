"""Both languages say everything."""

import re

import pytest

from src.demo import words


@pytest.mark.parametrize("key", words._WORDS)
def test_every_sentence_is_in_both_languages_with_the_same_gaps(key):
    english, chinese = (words.say(key, language) for language in words.LANGUAGES)
    assert re.search(r"[\u4e00-\u9fff]", chinese) and not re.search(r"[\u4e00-\u9fff]", english)
    assert sorted(re.findall(r"{\w+", english)) == sorted(re.findall(r"{\w+", chinese))


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "中文"),
        ("de-DE, de;q=0.9, zh-TW;q=0.5", "中文"),
        ("en-GB,zh;q=0.5", "English"),
        ("fr", "English"),
        ("", "English"),
    ],
)
def test_the_language_that_a_browser_asks_for(accepted, language):
    assert words.language_of(accepted) == language
