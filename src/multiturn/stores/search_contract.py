"""The contract of a store's search; part of ``StoreContract``."""

# ruff: noqa: SIM300  (expected == actual, as in all tests)
from __future__ import annotations

from multiturn.errors import InvalidContent
from multiturn.messages.message import Object
from multiturn.stores.conversing import (
    EMPTY,
    HARD_TEXTS,
    error_of,
    new_attempt,
    say,
    turn_after,
)
from multiturn.stores.protocol import Store

# What people type, and what some databases take for their own language.
HARD_QUERIES = (
    *('"', '""', '"plan', 'plan"', '" "', "'", "''", "\\", "%", "_", "*", "plan*", "(", "plan)"),
    *("plan OR", "NOT plan", "AND", "NEAR(plan", "plan AND OR NOT", "-plan", "+plan", "^plan"),
    *("plan:1", "words:plan", "{words}: plan", "plan:*", "plan & !", "plan | (", "<->", "plan <2>"),
    *(
        "'; DROP TABLE turns; --",
        "?",
        "%s",
        "$1",
        ":a",
        "\x00",
        "plan\x00",
        "\ud800",
        "\udfff plan",
    ),
    *(
        "",
        " ",
        "\n",
        "plan " * 500,
        "x" * 10_000,
        "😀",
        "\u202eplan",
        "½",
        "ﷺ",
        "'plan':1A",
        "\ud800",
    ),
)


class SearchContract:
    """What is found, and what is not."""

    def test_messages_with_all_words_are_found_newest_first(self, store: Store) -> None:
        ada = say(store, store.open("ada"), "the plan for Monday")
        bob = say(store, store.open("bob"), "another plan, for Tuesday")
        assert [("bob", bob.head), ("ada", ada.head)] == [
            (found.session, found.turn) for found in store.search("for plan")
        ]
        assert ["ada"] == [found.session for found in store.search("plan monday")]
        assert [] == store.search("plan wednesday")
        last = say(store, ada, "no plan").head
        assert [last, bob.head] == [found.turn for found in store.search("PLAN", limit=2)]
        assert InvalidContent is error_of(lambda: store.search("plan", limit=0))

    def test_quotes_make_a_phrase(self, store: Store) -> None:
        say(store, store.open("ada"), "one two three")
        assert 1 == len(store.search('"one two" three'))
        assert 1 == len(store.search("three one"))
        assert [] == store.search('"one three"')
        assert [] == store.search('"two one"')

    def test_case_accents_and_spaces_between_characters_make_no_difference(
        self, store: Store
    ) -> None:
        say(store, store.open("ada"), "Grüße aus ÅRHUS, naïve Straße; 今日は良い天気 ΣΊΣΥΦΟΣ")
        for query in ("grusse", "århus", "NAIVE", "STRASSE", "天気", "日は良", "σίσυφος"):
            assert 1 == len(store.search(query)), query
        for query in ("grüs", "気天"):
            assert [] == store.search(query), query

    def test_no_query_is_an_error_and_none_reaches_the_database(self, store: Store) -> None:
        say(store, store.open("ada"), "the plan")
        for query in HARD_QUERIES:
            assert len(store.search(query)) <= 1, query
        for query in ("plan*", "plan)", '"plan', "plan\x00", "\udfff plan", "plan:*", "-plan"):
            assert 1 == len(store.search(query)), query
        assert [] == store.check()

    def test_any_text_can_be_searched(self, store: Store) -> None:
        state = store.open("ada")
        for text in HARD_TEXTS:
            state = say(store, state, text)
        state = say(store, state, "needle\x00in\ud800hay")
        state = say(store, state, " ".join(f"w{i}" for i in range(9000)))
        state = say(store, state, "very " * 9000 + "rare")
        for query in ("needle", "in", "hay", "table", "blobs", "é", "w0", "w4500 w4501", "rare"):
            assert 1 == len(store.search(query)), query
        assert 1 == len(store.search("very"))
        (found,) = store.search("hay")
        assert ("needle in hay", ((10, 13),)) == (found.excerpt, found.hits)

    def test_an_excerpt_is_one_line_around_the_hit(self, store: Store) -> None:
        text = "before\n" * 100 + "here is\tthe\x1b[31m needle,\nand more" + " after" * 100
        say(store, store.open("ada"), text)
        (found,) = store.search("NEEDLE more")
        assert found.excerpt.isprintable()
        assert ["needle", "more"] == [found.excerpt[a:b] for a, b in found.hits]
        assert 100 < len(found.excerpt) < 210
        assert ("…", "…") == (found.excerpt[0], found.excerpt[-1])
        assert "user" == found.role

    def test_every_message_of_a_turn_is_found_with_who_said_it(self, store: Store) -> None:
        attempt = new_attempt()
        state = store.begin(store.open("ada"), attempt, EMPTY)
        call = {"functionCall": {"name": "look", "args": {"query": "unsaid"}}}
        contents: list[Object] = [
            {"role": "user", "parts": [{"text": "a question"}]},
            {"role": "model", "parts": [{"text": "unsaid", "thought": True}, call]},
            {"role": "model", "parts": [{"text": "an ans"}, {"text": "an answer"}]},
        ]
        turn, blobs = turn_after(state, attempt, contents)
        store.commit(state, [turn], blobs)
        found = [(f.role, f.turn) for query in ("question", "answer") for f in store.search(query)]
        assert [("user", turn.id), ("model", turn.id)] == found
        assert [] == store.search("question answer")
        assert [] == store.search("unsaid")

    def test_only_sessions_that_exist_and_were_asked_for_are_found(self, store: Store) -> None:
        state = say(store, store.open("ada/1"), "shared")
        fork = say(store, store.create("bob/1", state.head), "only bob")
        store.create("eve", fork.head)
        say(store, state, "only ada")
        assert ["ada/1"] == [found.session for found in store.search("shared")]
        assert ["bob/1"] == [found.session for found in store.search("shared", "bob/")]
        assert [] == store.search("ada", "bob/")
        store.delete("ada/1")
        assert [] == store.search("ada")
        assert ["bob/1"] == [found.session for found in store.search("shared")]
        store.delete("bob/1")
        assert ["eve"] == [found.session for found in store.search("bob")]
        assert ["eve"] == [found.session for found in store.search("shared", "e")]
        store.rename("eve", "adam")
        assert ["adam"] == [found.session for found in store.search("shared")]
        store.delete("adam")
        assert [] == store.search("shared")
        say(store, store.open("new"), "shared again")
        assert ["new"] == [found.session for found in store.search("shared")]

    def test_what_was_rewound_is_found_too(self, store: Store) -> None:
        first = say(store, store.open("ada"), "a")
        say(store, store.move(say(store, first, "rewound"), first.head), "c")
        assert ["ada"] == [found.session for found in store.search("rewound")]

    def test_more_than_one_batch_is_indexed(self, store: Store) -> None:
        state = store.open("ada")
        for i in range(230):
            state = say(store, state, f"number {i}")
        assert 230 == len(store.search("number", limit=1000))
        state = say(store, state, "number last")
        assert state.head == store.search("number")[0].turn
