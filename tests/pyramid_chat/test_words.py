"""Words of texts and of what is looked for, and where they stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_chat.words import EXCERPT, MAX_WORD, Term, excerpt, folded, indexed, parse, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Über alles", "uber alles"),
        ("u\u0308ber U\u0308BER", "uber uber"),
        ("Straße STRASSE", "strasse strasse"),
        ("İstanbul ılık", "istanbul ılık"),
        ("foo-bar, a_b; it's (C++)", "foo bar a b it s c"),
        ("https://a.example/x?y=1", "https a example x y 1"),
        ("ЁЖ ΑΣ", "еж ασ"),
        ("\ufb01n ½ ²", "fin 12 2"),
        # The letter that is a whole sentence is one word.
        ("\ufdfa", "صلىاللهعليهوسلم"),
        ("كِتاب שָׁלוֹם", "كتاب שלום"),
        # Signs that make another letter of one stay.
        ("हिन्दी", "हिन्दी"),
        ("東京 タワー", "東 京 タ ワ ー"),
        ("🎉 … — \x00 \ud800", ""),
        ("\u0301", ""),
        ("x" * 100, "x" * MAX_WORD),
    ],
)
def test_words_are_folded(text: str, words: str) -> None:
    assert indexed(text) == words


@given(st.text())
def test_words_are_where_they_are_said_to_be(text: str) -> None:
    end = 0
    for word in words_of(text):
        assert end <= word.start < word.end <= len(text)
        assert folded(text[word.start : word.end]) == word.folded
        assert word.folded and word.folded.split() == [word.folded]
        end = word.end


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("", []),
        ('" - * " ()', []),
        ("Ada", [Term(("ada",), prefix=True)]),
        ("ada love", [Term(("ada",), prefix=False), Term(("love",), prefix=True)]),
        ("a", [Term(("a",), prefix=False)]),
        ('"ada love" x', [Term(("ada", "love"), prefix=False), Term(("x",), prefix=False)]),
        ('"ada love"', [Term(("ada", "love"), prefix=False)]),
        ("“ada love”", [Term(("ada", "love"), prefix=False)]),
        ('say "ada lo', [Term(("say",), prefix=False), Term(("ada", "lo"), prefix=True)]),
        ("foo-bar", [Term(("foo", "bar"), prefix=True)]),
        ("ada *", [Term(("ada",), prefix=True)]),
        (
            "a AND NOT(b)",
            [Term((word,), prefix=False) for word in ("a", "and")]
            + [Term(("not", "b"), prefix=False)],
        ),
        ("東京", [Term(("東", "京"), prefix=False)]),
    ],
)
def test_a_query_is_words_and_phrases(query: str, terms: list[Term]) -> None:
    assert parse(query) == terms


@pytest.mark.parametrize(
    ("text", "query", "parts"),
    [
        ("Grüße an Über-Ada", "grusse ub", ["", "Grüße", " an ", "Über", "-Ada"]),
        ("ada, ADA adamant", "ada", ["", "ada", ", ", "ADA", " ", "adamant", ""]),
        ("ada ada", '"ada"', ["", "ada", " ", "ada", ""]),
        ("one two, one. Two!", '"one two"', ["", "one two", ", ", "one. Two", "!"]),
        ("one two three", '"one two" "two three"', ["", "one two three", ""]),
        ("東京都", "京都", ["東", "京都", ""]),
        ("<b>x</b>", "b", ["<", "b", ">x</", "b", ">"]),
        ("nothing", "else", ["nothing"]),
    ],
)
def test_hits_are_every_second_part(text: str, query: str, parts: list[str]) -> None:
    assert excerpt(text, parse(query)) == parts


@pytest.mark.parametrize("at", [0, 10, 300, 3900])
def test_a_long_text_is_shown_around_its_first_hit(at: int) -> None:
    text = f"{'- ' * (at // 2)}Needle{' -' * ((4000 - at) // 2)}"
    parts = excerpt(text, parse("needle"))
    assert parts[1] == "Needle"
    assert len("".join(parts)) <= EXCERPT + 2
    assert "".join(parts).strip("…") in text
    assert parts[0].startswith("…") == (at > 60)
    assert parts[-1].endswith("…") == (at < 3900)


def test_a_hit_that_is_longer_than_an_excerpt_is_cut() -> None:
    parts = excerpt("x" * 4000, parse("x" * 200))
    assert parts == ["", "x" * EXCERPT, "…"]
