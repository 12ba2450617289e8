"""What the documentation says of the compressed LeNets is what the shipped files are."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import lenet_tables

import refcompress
from refcompress.analysis import measure
from refcompress.analysis.coding import codings
from reference_models import LENET_FILES
from reference_models.published import PublishedNetwork

ROOT = Path(__file__).parent.parent.parent
names = pytest.mark.parametrize("name", LENET_FILES)


def test_the_table_of_the_main_readme_is_that_of_the_results() -> None:
    assert lenet_tables.summary() in (ROOT / "README.md").read_text("utf-8")


@names
def test_the_tables_beside_the_paper_are_those_of_the_results(name: str) -> None:
    text = (ROOT / "reference_models" / "README.md").read_text("utf-8")
    assert lenet_tables.comparison(name) in text


@names
def test_the_results_are_those_of_the_shipped_files(name: str) -> None:
    files, document = LENET_FILES[name], lenet_tables.report(name)
    dense, small = refcompress.load(files.dense), refcompress.load(files.small)
    layers, total = codings(small, dense)
    assert [layer.to_dict() for layer in layers] == document["layers"]
    assert total.to_dict() == document["total"]
    assert total.bytes_coded == files.small.stat().st_size == document["report"]["file_bytes"]
    assert [p.stream_bytes for p in measure(small).parameters] == [
        p["stream_bytes"] for p in document["report"]["parameters"]
    ]


@pytest.mark.parametrize("paper", lenet_tables.PUBLISHED.values(), ids=lenet_tables.PUBLISHED)
def test_the_published_rates_are_consistent(paper: PublishedNetwork) -> None:
    # the paper's totals follow from its rows, within the digits it prints
    assert paper.dense_bytes * paper.total.rate_huffman == pytest.approx(paper.file_bytes, rel=0.02)
    assert len({layer.name for layer in paper.layers}) == len(paper.layers)
    for layer in paper.layers:
        assert 0 < layer.rate_huffman < layer.rate < 1
