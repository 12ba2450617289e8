"""Reports: the same findings as JSON, Markdown and one page of HTML that needs nothing else."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from checks.small_networks import classifier

from refcompress.errors import OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import NoAttrs
from refcompress.run import run_all
from refcompress.verify import compare, compare_layers
from refcompress.verify.opening import headline, opening
from refcompress.verify.page import plot
from refcompress.verify.report import document, render, sentence, summary, table
from refcompress.verify.verdict import TensorVerdict, Verdict

X = np.random.default_rng(3).normal(size=(4, 12)).astype(np.float32)


def wrong() -> Verdict:
    graph = classifier()
    theirs = dict(run_all(graph, X))
    theirs["a"] = theirs["h"]
    theirs["z"] = theirs["z"].copy()
    theirs["z"][1, 2] = np.nan
    return compare_layers(graph, theirs)


def tensor(**fields: object) -> TensorVerdict:
    values: dict[str, object] = {
        "name": "conv",
        "array": "conv",
        "state": "wrong",
        "precision": "",
        "cause": "",
        "nodes": ("conv",),
        "ops": ("Conv",),
        "max_difference": 0.5,
        "max_ratio": 100.0,
        "worst": (0, 1),
        "max_bound": 0.005,
        "max_value": 2.0,
    }
    return TensorVerdict(**{**values, **fields})  # type: ignore[arg-type]


def test_sentences_say_what_differs_and_what_explains_it() -> None:
    assert sentence(tensor(cause="with SAME padding on the other side it agrees")) == (
        "conv differs; with SAME padding on the other side it agrees"
    )
    assert sentence(tensor()) == "conv differs by 0.5 at most, and at [0, 1] by 100 times the bound"
    low = sentence(tensor(state="lower precision", precision="float16"))
    assert low == "conv differs; only a lower precision explains it: float16 weights and activations, float32 sums"
    assert (
        sentence(tensor(state="not comparable", cause="it is not finite"))
        == "conv cannot be compared: it is not finite"
    )
    assert sentence(tensor(max_difference=math.inf, max_ratio=math.inf)) == "conv is not finite at [0, 1]"


def test_summary_names_the_first_bad_one_and_counts_the_others() -> None:
    verdict = Verdict(
        (tensor(), tensor(name="dense", state="lower precision", precision="tf32")), True, (), "", "probed", "float32"
    )
    assert summary(verdict).startswith("layer 'conv' is NOT within its probed bound: differs by")
    assert summary(verdict).endswith("; 1 more of 2 layers are not")
    graph = classifier()
    assert (
        summary(compare(graph, {"x": X, "y": run_all(graph, X)["y"]})) == "all outputs are within their probed bounds"
    )


def told(*tensors: TensorVerdict, layers: bool = True) -> tuple[str, list[str]]:
    """Headline and opening of a report on these tensors."""
    found = document(Verdict(tensors, layers, (), "", "probed", "float32"))
    return " ".join(part for part in headline(found) if part), opening(found)


def test_the_first_line_is_the_verdict() -> None:
    fine = tensor(name="fine", state="within", max_ratio=0.25, max_bound=1e-6)
    low = tensor(name="low", state="lower precision", precision="float16")
    odd = tensor(name="odd", state="not comparable", cause="what it is fed is not finite")
    assert told(fine, low, tensor(), odd) == (
        "Layer conv is wrong",
        [
            "conv differs by 0.5 at most, and at [0, 1] by 100 times the bound.",
            "2 more of 4 layers are not within bounds.",
        ],
    )
    assert told(fine, low, odd)[0] == "Layer low is right only in float16"
    assert told(fine, odd)[0] == "Layer odd cannot be compared"
    assert told(fine, tensor(), layers=False)[0] == "Output conv is wrong"


def test_a_right_network_is_told_by_how_much() -> None:
    fine = tensor(name="fine", state="within", max_ratio=0.25, max_bound=1e-6)
    equal = tensor(name="equal", state="within", max_ratio=0.0, max_bound=1.0)
    assert told(fine, equal) == (
        "All 2 layers are within their bounds",
        [
            "The largest difference is 0.25 of its bound (fine).",
            "The widest bound is 0.5 of the largest value (equal): differences beyond that would have shown.",
        ],
    )
    silent, lines = told(tensor(state="within", max_ratio=0.0, max_bound=0.0, max_value=0.0), layers=False)
    assert silent == "The output is within its bound"
    assert lines[0] == "Nothing differs."
    _, lines = told(fine, tensor(name="free", state="within", max_ratio=0.0, max_bound=math.inf))
    assert lines[1] == "Of free there are elements without a bound: of these nothing is known."


def test_json_is_strict_and_says_all() -> None:
    found = document(wrong(), {"model": "m.h5"})
    back = json.loads(render(found, "report.json"), parse_constant=pytest.fail)
    assert back["model"] == "m.h5"
    assert (back["within"], back["first_bad"]) == (False, "relu")
    assert [layer["state"] for layer in back["tensors"]] == ["within", "wrong", "wrong", "not comparable"]
    assert back["tensors"][2]["max_ratio"] is None
    assert back["findings"][0] == "relu differs; with no activation it agrees"


def test_markdown_is_a_table_that_names_cannot_break() -> None:
    found = document(wrong(), {"model": "m.h5"})
    text = render(found, "report.md")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    name = "a|b\n<script>`*_"
    node = Node("Relu", name, ("x",), "y", attrs=NoAttrs())
    graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {})
    odd = render(document(compare_layers(graph, {"x": np.ones((1, 2)), "y": np.ones((1, 2))})), "odd.md")
    assert "<script>" not in odd
    (row,) = [line for line in odd.splitlines() if line.startswith("|") and "script" in line]
    assert row.startswith(r"| a\|b \<script\>\`\*\_ | within | 0 |")
    assert text.startswith("# Layer relu is wrong\n\nrelu differs; with no activation it agrees.\n")


class Page(HTMLParser):
    """Tags, attributes and links of a page, and those tags that are still open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str | None] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; only `meta` and the shapes of SVG need no end."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value for name, value in attrs if name == "href"}
        if tag != "meta" and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that the tag opened last is closed first."""
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    name = '<img src="x" onerror="alert(1)">'
    node = Node("Relu", name, ("x",), "y", attrs=NoAttrs())
    graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {})
    odd = compare_layers(graph, {"x": np.ones((1, 2)), "y": np.zeros((1, 2))})
    for verdict in (wrong(), odd):
        text = render(document(verdict, {"model": "<m>.h5"}), "report.html")
        read = Page(text)
        assert not read.open
        assert not read.tags & {"script", "img", "link", "iframe", "object"}
        assert not read.attributes & {"src", "onerror", "onload"}
        assert read.links == {"#first"}
        assert text.count('id="first"') == 1
        assert "://" not in text
        assert "url(" not in text
        assert "prefers-color-scheme: dark" in text
        assert "&lt;m&gt;.h5" in text


def test_the_page_says_the_verdict_before_anything_else() -> None:
    text = render(document(wrong(), {"model": "m.h5"}), "report.html")
    body = text[text.index("<body>") + len("<body>") :].strip()
    assert body.startswith('<header class="verdict bad"><h1>Layer <a href="#first">relu</a> is wrong</h1>')
    assert "<title>Layer relu is wrong</title>" in text
    right = render(document(compare(classifier(), {"x": X, "y": run_all(classifier(), X)["y"]})), "report.html")
    assert '<header class="verdict good"><h1>The output is within its bound</h1>' in right
    assert "All that differs" not in right
    assert not Page(right).links


def test_plot_has_a_bar_for_each_layer_and_says_where_the_bound_is() -> None:
    tensors = [
        {"name": f"layer {i}", "state": "within", "max_ratio": r} for i, r in enumerate((0.0, 0.5, 1e30, math.inf))
    ]
    drawing = ET.fromstring(plot(tensors))  # noqa: S314 - our own
    bars = drawing.findall("div/div")
    widths = [float(re.search(r"([\d.]+)%", bar.attrib["style"])[1]) for bar in bars]  # type: ignore[index]
    assert widths == sorted(widths)
    assert (widths[0], widths[-1]) == (0, 100)
    assert len(bars) == 4
    assert [div.attrib.get("title") for div in drawing.findall("div")][-1] == "layer 3: not finite times its bound"
    (bound,) = [tick for tick in drawing.findall("div/span") if tick.text == "bound"]
    assert "left: 33.33%" in bound.attrib["style"]  # 4 of the 12 decades from 1e-4 to 1e8
    assert "--bound: 33.33%" in drawing.attrib["style"]
    assert ET.fromstring(plot([])) is not None  # noqa: S314 - same


@pytest.mark.parametrize("most", [0.1, 3.0, 1e3, 1e5, 1e30])
def test_few_ticks_carry_a_label_and_the_bound_always_does(most: float) -> None:
    drawing = ET.fromstring(plot([{"name": "y", "state": "within", "max_ratio": most}]))  # noqa: S314 - our own
    labels = [tick.text for tick in drawing.findall("div/span")]
    assert 3 <= len(labels) <= 7
    assert "bound" in labels


def test_the_table_leaves_out_columns_that_say_nothing() -> None:
    columns, rows = table(document(wrong()))
    assert columns[:3] == ("layer", "verdict", "of its bound")
    assert "compared" in columns
    assert len(rows) == 4
    columns, _ = table(document(Verdict((tensor(array="conv", ops=()),), False, (), "", "probed", "float32")))
    assert columns[0] == "output"
    assert not {"compared", "operators"} & set(columns)


def test_other_formats_are_refused() -> None:
    with pytest.raises(OptionError, match=r"\.md, \.html or \.json"):
        render(document(wrong()), "report.pdf")
