"""MNIST and CIFAR-10 are read as published, in parts that share no example; what is no such data is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.mnist_files import NAMES, idx_bytes, packed, small_mnist, write

from refcompress.errors import DataError, FormatError, OptionError
from reference_models.data import Splits, cifar, cifar10, digits, mnist, mnist_files, read

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Splits:
    return mnist(_folder(shared_data, "mnist"))


def _folder(shared_data: Path, name: str) -> Path:
    if not (shared_data / name).is_dir():
        pytest.skip(f"the shared data has no folder {name}")
    return shared_data / name


def _plain(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {name: idx_bytes(array) for name, array in arrays.items()}


def test_the_parts_of_a_small_mnist_are_the_arrays_it_was_written_from(tmp_path: Path) -> None:
    arrays = small_mnist()
    splits = mnist(write(tmp_path, packed(arrays)), validation=3)
    # after t tenths, floor(t / 2) images to learn from and floor(3 t / 10) set aside have passed
    kept, aside = [0, 1, 3, 5, 6], [2, 4, 7]
    parts = {
        "train": (splits.train, arrays[TRAIN_IMAGES][kept], arrays[TRAIN_LABELS][kept]),
        "validation": (splits.validation, arrays[TRAIN_IMAGES][aside], arrays[TRAIN_LABELS][aside]),
        "test": (splits.test, arrays[TEST_IMAGES], arrays[TEST_LABELS]),
    }
    for part, images, labels in parts.values():
        assert part.x.dtype == np.float32
        assert part.y.dtype == np.int64
        # the float32 nearest to the quotient: float64 carries enough bits that rounding twice changes nothing
        np.testing.assert_array_equal(part.x, (images[..., None] / 255.0).astype(np.float32), strict=True)
        np.testing.assert_array_equal(part.y, labels)


def test_the_end_of_each_tenth_is_set_aside(real: Splits, shared_data: Path) -> None:
    whole = mnist(shared_data / "mnist", validation=0).train
    tenths, labels = whole.x.reshape(10, 6000, -1), whole.y.reshape(10, 6000)
    np.testing.assert_array_equal(real.train.x.reshape(10, 5000, -1), tenths[:, :5000])
    np.testing.assert_array_equal(real.validation.x.reshape(10, 1000, -1), tenths[:, 5000:])
    np.testing.assert_array_equal(real.validation.y.reshape(10, 1000), labels[:, 5000:])


def test_a_writers_digits_stand_near_each_other_in_the_training_file(shared_data: Path) -> None:
    """Why runs are set aside: the slant of a digit is like that of the next but one, not like that of a far one."""
    images = mnist(_folder(shared_data, "mnist"), validation=0).train
    slant = _slants(images.x[..., 0])
    for digit in range(10):
        these = images.y == digit
        slant[these] = (slant[these] - slant[these].mean()) / slant[these].std()
    alike = {distance: float(np.mean(slant[distance:] * slant[:-distance])) for distance in (1, 2, 10, 100, 10_000)}
    assert alike[2] > alike[10] > alike[100] > 0.25
    assert abs(alike[10_000]) < 0.2
    assert alike[1] < 0  # two collections alternate


def _slants(images: np.ndarray) -> np.ndarray:
    """Covariance of row and column, the ink taken for mass."""
    share = images / images.sum((1, 2), keepdims=True, dtype=np.float64)
    row, column = np.arange(images.shape[1])[:, None], np.arange(images.shape[2])
    mean = np.einsum("nrc,rc->n", share, row * column)
    return mean - np.einsum("nrc,rc->n", share, row + 0 * column) * np.einsum("nrc,rc->n", share, 0 * row + column)


def test_plain_and_packed_files_are_the_same_and_may_be_mixed(tmp_path: Path) -> None:
    arrays = small_mnist()
    plain, gz = _plain(arrays), packed(arrays)
    mixed = {TRAIN_IMAGES: plain[TRAIN_IMAGES], **{f"{name}.gz": gz[f"{name}.gz"] for name in NAMES[1:]}}
    # a browser may unpack a file and leave its name
    misnamed = {f"{name}.gz": data for name, data in plain.items()}
    first, *others = (
        mnist(write(tmp_path / str(number), files), validation=1)
        for number, files in enumerate((plain, gz, mixed, misnamed))
    )
    for other in others:
        np.testing.assert_array_equal(first.train.x, other.train.x)
        np.testing.assert_array_equal(first.test.y, other.test.y)


def test_nothing_or_all_but_one_image_may_be_set_aside(tmp_path: Path) -> None:
    write(tmp_path, packed(small_mnist(train=4)))
    assert [len(mnist(tmp_path, validation=n).train.y) for n in (0, 3)] == [4, 1]
    for validation in (-1, 4, 5000):
        with pytest.raises(OptionError, match=f"validation is {validation}; of 4 training images, 0 to 3"):
            mnist(tmp_path, validation=validation)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    files = packed(small_mnist())
    del files[f"{name}.gz"]
    with pytest.raises(OptionError, match=rf"holds neither {name} nor {name}\.gz; give the folder"):
        mnist(write(tmp_path, files), validation=1)


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    arrays = small_mnist()
    arrays[TEST_LABELS] = arrays[TEST_LABELS][:-1]
    with pytest.raises(DataError, match=r"holds 3 images and .* 2 labels; there must be as many"):
        mnist(write(tmp_path, _plain(arrays)), validation=1)


def test_a_label_above_9_is_refused_where_it_stands(tmp_path: Path) -> None:
    arrays = small_mnist()
    arrays[TRAIN_LABELS][[5, 6]] = 10, 255
    with pytest.raises(FormatError, match="holds the label 10; allowed are 0 to 9") as caught:
        mnist(write(tmp_path, packed(arrays)), validation=1)
    assert idx_bytes(arrays[TRAIN_LABELS])[caught.value.offset_bytes] == 10


def test_exchanged_files_are_refused(tmp_path: Path) -> None:
    files = _plain(small_mnist())
    files[TRAIN_IMAGES], files[TRAIN_LABELS] = files[TRAIN_LABELS], files[TRAIN_IMAGES]
    with pytest.raises(FormatError, match=r"begins with '00 00 08 03'.* begins with '00 00 08 01'"):
        mnist(write(tmp_path, files), validation=1)


def test_the_real_mnist_has_its_published_counts(real: Splits) -> None:
    assert [part.x.shape for part in (real.train, real.validation, real.test)] == [
        (50_000, 28, 28, 1),
        (10_000, 28, 28, 1),
        (10_000, 28, 28, 1),
    ]
    # digits 0 to 9 among the 60,000 and among the 10,000, as the literature tabulates them
    train = np.bincount(np.concatenate([real.train.y, real.validation.y]))
    assert train.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(real.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_real_mnist_begins_with_the_digits_everybody_knows(real: Splits) -> None:
    assert real.train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert real.test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_the_real_mnist_has_its_known_mean_and_range(real: Splits) -> None:
    pixels = np.concatenate([real.train.x, real.validation.x])
    # 0.1307 and 0.3081: the constants that others normalize MNIST by, to the digits they give
    assert round(float(pixels.mean(dtype=np.float64)), 4) == 0.1307
    assert round(float(pixels.std(dtype=np.float64)), 4) == 0.3081
    assert (pixels.min(), pixels.max()) == (0, 1)


def test_the_checksums_are_those_of_the_real_files(shared_data: Path) -> None:
    import hashlib

    folder = _folder(shared_data, "mnist")
    # the MD5 sums that torchvision and others have long published for the same files
    md5 = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    assert set(md5) == set(mnist_files.SHA256) == {f"{name}.gz" for name in NAMES}
    for name, expected in md5.items():
        data = (folder / name).read_bytes()
        assert hashlib.md5(data, usedforsecurity=False).hexdigest() == expected
        assert hashlib.sha256(data).hexdigest() == mnist_files.SHA256[name]
        assert gzip.decompress(data)[:3] == b"\0\0\x08"


def test_the_real_cifar_images_are_those_of_the_archive(shared_data: Path) -> None:
    folder = _folder(shared_data, "cifar10")
    splits = cifar10(folder)
    parts = (splits.train, splits.validation, splits.test)
    assert [part.x.shape for part in parts] == [(1000, 32, 32, 3), (1000, 32, 32, 3), (2000, 32, 32, 3)]
    with np.load(folder / cifar.FILE_NAME) as archive:
        np.testing.assert_array_equal(np.concatenate([part.x for part in parts]), archive["x"].astype(np.float32))
        np.testing.assert_array_equal(np.concatenate([part.y for part in parts]), archive["y"])
    assert splits.train.x.dtype == np.float32
    assert splits.train.y.dtype == np.int64
    # data_batch_1 begins with a frog, two trucks, a deer and two automobiles; red, green, blue of the first pixel
    assert splits.train.y[:6].tolist() == [6, 9, 9, 4, 1, 1]
    assert splits.train.x[0, 0, 0].tolist() == [59, 62, 63]
    assert len({image.tobytes() for part in parts for image in part.x}) == 4000


def test_the_parts_of_cifar_are_chosen_in_order(tmp_path: Path) -> None:
    np.savez(tmp_path / cifar.FILE_NAME, x=np.zeros((5, 32, 32, 3), np.uint8), y=np.arange(5))
    splits = cifar10(tmp_path, validation=0, test=3)
    assert [part.y.tolist() for part in (splits.train, splits.validation, splits.test)] == [[0, 1], [], [2, 3, 4]]
    for validation, test in ((-1, 1), (1, -1), (2, 3), (1000, 2000)):
        with pytest.raises(OptionError, match=f"validation is {validation} and test {test}"):
            cifar10(tmp_path, validation=validation, test=test)


X, Y = np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2, np.uint8)
WRONG_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    # other names: what numpy.savez gives arrays without any
    "names": ({"arr_0": X, "arr_1": Y}, "holds the arrays arr_0, arr_1; it must hold x and y"),
    # scaled already
    "float pixels": ({"x": X.astype(np.float32), "y": Y}, r"x .* is float32 .*must be uint8"),
    # channels first, as the official files have them
    "channels first": ({"x": X.transpose(0, 3, 1, 2), "y": Y}, r"x .* \(2, 3, 32, 32\); it must be"),
    # a single number has no length
    "no images": ({"x": np.uint8(0), "y": Y}, r"x .* is uint8 \(\)"),
    # one-hot labels
    "one-hot": ({"x": X, "y": np.zeros((2, 10), np.uint8)}, r"y .* \(2, 10\); it must be integers \(2,\)"),
    # a label is missing
    "fewer labels": ({"x": X, "y": Y[:1]}, r"y .* \(1,\); it must be integers \(2,\)"),
    # labels that are no integers
    "float labels": ({"x": X, "y": Y.astype(np.float64)}, "y .* is float64"),
    # CIFAR-100 has 100 classes
    "label 10": ({"x": X, "y": np.array([0, 10])}, "y .* holds 0 to 10; allowed are 0 to 9"),
    # a sign where there should be none
    "label -1": ({"x": X, "y": np.array([-1, 9])}, "y .* holds -1 to 9; allowed are 0 to 9"),
    # Python objects are never unpickled
    "objects": ({"x": X, "y": np.array([None, {}])}, "damaged or no NumPy file"),
}


@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_an_archive_of_something_else_is_no_cifar(name: str, tmp_path: Path) -> None:
    arrays, message = WRONG_ARRAYS[name]
    np.savez(tmp_path / cifar.FILE_NAME, **arrays)
    with pytest.raises(DataError, match=message):
        cifar10(tmp_path)


def test_a_missing_or_damaged_cifar_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"first4000\.npz cannot be read: .*; give the folder"):
        cifar10(tmp_path)
    (tmp_path / cifar.FILE_NAME).write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(DataError, match="damaged"):
        cifar10(tmp_path)


def test_a_text_names_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mnist", _plain(small_mnist(train=600)))
    np.savez(tmp_path / cifar.FILE_NAME, x=np.zeros((3001, 32, 32, 3), np.uint8), y=np.zeros(3001, int))
    np.testing.assert_array_equal(read("digits").test.x, digits().test.x)
    assert len(read(f"mnist:{tmp_path / 'mnist'}").validation.y) == 100
    assert len(read(f"cifar10:{tmp_path}").train.y) == 1
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(read("mnist:~/mnist").train.y) == 500


def test_mnist_alone_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, _plain(small_mnist(train=12)))
    monkeypatch.setattr(mnist_files, "fetch_mnist", lambda: tmp_path)
    assert len(read("mnist").train.y) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"unknown data ''; give digits, mnist or mnist:DIR, cifar10:DIR"),
        ("minst:x", r"unknown data 'minst' \(did you mean 'mnist'\?\)"),
        ("MNIST", "unknown data 'MNIST'"),
        ("cifar10", "'cifar10' is read from a folder; give cifar10:DIR"),
        ("cifar10:", "ends where a folder should stand; give cifar10:DIR"),
        ("mnist:", "ends where a folder should stand; give mnist or mnist:DIR"),
        ("digits:here", "names a folder, but the digits are read from none; give digits"),
        ("mnist:no/such/folder", "holds neither train-images-idx3-ubyte nor"),
        ("cifar10:no/such/folder", "cannot be read"),
    ],
)
def test_a_text_that_names_no_data_is_an_error_that_says_what_does(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read(text)
