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
from refcompress.verify.page import plot
from refcompress.verify.report import document, render, rows, sentence, summary
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
    (row,) = [line for line in odd.splitlines() if "script" in line]
    assert row.startswith(r"| a\|b \<script\>\`\*\_ | y |")


class Page(HTMLParser):
    """Tags and attributes of a page, and those that are still open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; only `meta` and the shapes of SVG need no end."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
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
        page = Page(text)
        assert not page.open
        assert not page.tags & {"script", "img", "link", "iframe", "object"}
        assert not page.attributes & {"src", "href", "onerror", "onload"}
        assert "://" not in text
        assert "url(" not in text
        assert "prefers-color-scheme: dark" in text
        assert "&lt;m&gt;.h5" in text


def test_plot_is_svg_with_a_bar_for_each_layer() -> None:
    tensors = [
        {"name": f"layer {i}", "state": "within", "max_ratio": r} for i, r in enumerate((0.0, 0.5, 1e30, math.inf))
    ]
    drawing = ET.fromstring(plot(tensors))  # noqa: S314 - our own
    bars = [element for element in drawing if element.tag == "rect"]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths == sorted(widths)
    assert len(bars) == 4
    assert [bar[0].text for bar in bars][-1] == "layer 3: not finite times its bound"
    assert ET.fromstring(plot([])) is not None  # noqa: S314 - same


def test_rows_and_names_of_formats() -> None:
    assert len(rows(document(wrong())["tensors"])) == 4
    with pytest.raises(OptionError, match=r"\.md, \.html or \.json"):
        render(document(wrong()), "report.pdf")
