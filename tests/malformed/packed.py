"""Malformed packed tensors: each breaks one constraint of refcompress/encodings/SPEC.md, and nothing before it."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """A tensor that must be refused.

    ``data`` is read as an array of ``shape``; the error's message holds ``message``, and it points to byte
    ``offset_bytes`` of the tensor.
    """

    constraint: str
    what: str
    data: bytes
    shape: tuple[int, ...]
    offset_bytes: int
    message: str


def _case(
    constraint: str, what: str, data: str, offset_bytes: int, message: str, shape: tuple[int, ...] = (4,)
) -> Case:
    return Case(constraint, what, bytes.fromhex(data), shape, offset_bytes, message)


ONE, TWO = "0000803f", "00000040"
ONE_GAP = "01000000 01000000"  # one gap in a stream of one byte
BOOK = f"02000000 {ONE} {TWO}"  # two centroids

CASES = [
    # shapes that no array may have, whatever the bytes
    _case("C1", "2^31 elements", f"00000000 {ONE}", 0, "fewer than 2", (1 << 16, 1 << 15)),
    _case("C1", "an axis of 2^31 beside one of 0", "00000000", 0, "fewer than 2", (0, 1 << 31)),
    _case("C1", "nine axes", f"00000000 {ONE}", 0, "8 axes", (1,) * 9),
    _case("C1", "a negative axis", "00000000", 0, "shape", (-1,)),
    # cut off inside each section
    _case("C2", "in the header", "000000", 3, "3 are left"),
    _case("C2", "in the values", f"00000000 {ONE} 0000", 10, "6 are left"),
    _case("C2", "in the number of gaps", "01000100 0100", 6, "2 are left"),
    _case("C2", "in the centroids", f"02010000 02000000 {ONE}", 12, "4 are left"),
    _case("C2", "before the zero points", f"04010000 01000000 {ONE}", 12, "0 are left"),
    _case("C2", "in the gaps", f"01000100 01000000 02000000 01000000 {ONE} 01", 21, "1 are left"),
    # bytes after the last section
    _case("C3", "after the values", f"00000000 {ONE} 00", 8, "1 bytes follow", (1,)),
    _case("C3", "after the gaps of float32", f"01000100 {ONE_GAP} 01000000 {ONE} 01 00", 21, "1 bytes follow"),
    _case("C3", "after a joint stream", f"43010100 {ONE_GAP} {BOOK} 03 00", 25, "1 bytes follow"),
    # forms of later versions
    _case("C4", "bit 7", f"80000000 {ONE}", 0, "newer version", (1,)),
    # gaps of a dense array
    _case("C5", "escapes", f"08000000 {ONE}", 0, "not sparse", (1,)),
    _case("C5", "a code of gaps", f"20000010 {ONE}", 0, "not sparse", (1,)),
    _case("C5", "a joint stream", f"42010000 {BOOK} 00", 0, "not sparse"),
    # integers of float32, or of two streams
    _case("C6", "a code of float32", f"10000000 {ONE}", 0, "not there", (1,)),
    _case("C6", "joint float32", f"41000100 {ONE_GAP} 01000000 {ONE} 01", 0, "not there"),
    _case("C6", "joint with a code of integers", f"53010110 {ONE_GAP} {BOOK} 03", 0, "not there"),
    _case("C7", "float32 of 1 bit", f"00010000 {ONE}", 1, "1 bits", (1,)),
    _case("C7", "labels of 0 bits", f"02000000 {BOOK}", 1, "0 bits"),
    _case("C7", "integers of 17 bits", f"04110000 01000000 {ONE} 0000", 1, "17 bits"),
    _case("C8", "gaps of 0 bits", f"01000000 {ONE_GAP}", 2, "0 bits"),
    _case("C8", "gaps of 13 bits", f"01000d00 {ONE_GAP}", 2, "13 bits"),
    _case("C8", "gaps of a dense array", f"00000100 {ONE}", 2, "1 bits", (1,)),
    _case("C8", "joint symbols of 17 bits", f"45050c00 {ONE_GAP}", 2, "more than 16"),
    _case("C9", "two streams", f"12010014 {BOOK} 0200 11 00", 3, "2 bit streams"),
    _case("C9", "eight streams", f"1201001c {BOOK} 0200 11 00", 3, "8 bit streams"),
    _case("C9", "four streams without a code", f"02010008 {BOOK} 00", 3, "4 bit streams"),
    _case("C9", "a longer code than told", f"12010000 {BOOK} 0200 11 00", 19, "longest code has 1 bits"),
    _case("C9", "a longest code without a code", f"00000010 {ONE}", 4, "longest code has 0 bits", (1,)),
    _case("C10", "padding", f"02010000 02000100 {ONE} {TWO} 00", 4, "do not fit"),
    _case("C10", "labels wider than needed", f"02020000 {BOOK} 00", 4, "do not fit"),
    _case("C10", "no centroids", "02010000 00000000 00", 4, "0 centroids"),
    _case("C10", "4097 centroids", "020d0000 01100000" + 4097 * ONE + "00" * 7, 4, "4097 centroids"),
    _case("C11", "one scale with the mark", f"04010000 01000080 {ONE} 0000 00", 4, "stored once"),
    _case("C11", "equal zero points twice", f"04010000 02000000 {ONE} {ONE} 0000 0000 00", 4, "stored once", (2, 2)),
    _case("C12", "two scales for three rows", f"04010000 02000080 {ONE} {ONE} 0000 00", 4, "2 scales", (2, 3)),
    _case("C12", "no scales", "04010000 00000000 00", 4, "0 scales"),
    _case("C12", "an infinite scale", "04010000 01000000 0000807f 0000 00", 4, "infinite"),
    _case("C12", "a scale that is no number", "04010000 01000000 0000c07f 0000 00", 4, "not a number"),
    _case("C12", "a zero point of 2 bits", f"04010000 01000000 {ONE} 0200 00", 4, "zero point 2"),
    _case("C13", "nine gaps in a byte", f"01000100 09000000 01000000 01000000 {ONE} 01", 4, "9 gaps"),
    _case("C13", "2^32 - 1 gaps", f"01000100 ffffffff 01000000 01000000 {ONE} 01", 4, "cannot stand"),
    # code lengths that could be told otherwise; the code begins at byte 16
    _case("C14", "4097 symbols", f"12010010 {BOOK} 0110 11 00", 16, "4097 symbols"),
    _case("C14", "a last symbol without code", f"12010010 {BOOK} 0300 11 00 00", 19, "must have a code"),
    _case("C14", "a run past the end", f"12010010 {BOOK} 0300 11 20 00", 19, "must have a code"),
    _case("C14", "a run after one of 1", f"12010010 {BOOK} 0300 00 00 01 00", 19, "not full"),
    _case("C14", "padding", f"12010010 {BOOK} 0100 11 00", 18, "padding"),
    _case("C14", "lengths cut off", f"12010010 {BOOK} 0900 11", 19, "cut off"),
    _case("C14", "half a run at the end", f"12010010 {BOOK} 0900 01", 19, "cut off"),
    _case("C14", "a size cut off", f"12010010 {BOOK} 02", 17, "cut off"),
    _case("C15", "over-subscribed", f"12010010 {BOOK} 0300 11 01 00", 16, "over-subscribed"),
    _case("C15", "incomplete", f"12010020 {BOOK} 0200 21 00", 16, "incomplete"),
    _case("C15", "a single symbol of two bits", f"12010020 {BOOK} 0100 02 00", 16, "incomplete"),
    # streams that do not take exactly their bytes
    _case("C16", "bits too short", f"02010000 {BOOK}", 16, "take 1 bytes, not 0"),
    _case("C16", "bits too long", f"02010000 {BOOK} 00 00", 16, "take 1 bytes, not 2"),
    _case("C16", "padding after bits", f"02010000 {BOOK} 10", 16, "padding"),
    _case("C16", "codes too short", f"12020020 03000000 {ONE} {ONE} {ONE} 0300 21 02 ff", 25, "ends early", (5,)),
    _case("C16", "fewer bits than codes", f"12010010 {BOOK} 0200 11 00", 19, "9 symbols cannot stand", (9,)),
    _case("C16", "no codes", f"12010010 {BOOK} 0200 11", 19, "cannot stand"),
    _case("C16", "codes too long", f"12010010 {BOOK} 0200 11 00 00", 20, "1 bytes follow"),
    _case("C16", "padding after codes", f"12010010 {BOOK} 0200 11 10", 19, "padding"),
    _case("C16", "a pattern that is no code", f"12010010 {BOOK} 0100 01 02", 19, "no code"),
    _case("C16", "lengths of four streams cut off", f"12010018 {BOOK} 0200 11 00000000 00000000", 27, "cut off"),
    _case(
        "C16",
        "four streams longer than their section",
        f"12010018 {BOOK} 0200 11 01000000 01000000 01000000 00 00",
        19,
        "1 bytes longer",
    ),
    _case(
        "C16",
        "a byte too much in the second of four streams",
        f"12010018 {BOOK} 0200 11 01000000 02000000 01000000 00 00 00 00 00",
        33,
        "1 bytes follow",
    ),
    _case("C17", "label 2 of two centroids", f"0202 0000 03000000 {ONE} {ONE} {ONE} ff", 4, "label 3"),
    _case("C17", "a code of three symbols for one bit", f"12010020 {BOOK} 0300 21 02 00", 4, "3 symbols"),
    _case("C17", "a code of gaps too wide", f"21000120 {ONE_GAP} 01000000 {ONE} 0300 21 02 00", 4, "3 symbols"),
    _case("C18", "two values for a gap", f"01000100 {ONE_GAP} 02000000 {ONE} {ONE} 00", 4, "2 values"),
    _case("C18", "a value for an escape", f"09000100 02000000 01000000 02000000 {ONE} {ONE} 01", 4, "2 values"),
    _case("C19", "an escape at the end", f"09000100 02000000 01000000 01000000 {ONE} 02", 4, "last gap"),
    _case("C20", "an escape with an integer", f"4b010100 02000000 01000000 {BOOK} 0b", 4, "escape carries"),
    _case("C21", "an entry past the end", f"01000200 {ONE_GAP} 01000000 {ONE} 02", 4, "past the end", (2,)),
    _case("C22", "padding", f"06010000 02000100 {ONE} 01ff0000 00", 4, "do not fit"),
    _case("C22", "labels wider than needed", f"06020000 02000000 {ONE} 01ff0000 00", 4, "do not fit"),
    _case("C22", "padding behind the centroids", f"06010000 02000000 {ONE} 01ff0001 00", 4, "not 0"),
    _case("C22", "no centroids", f"06010000 00000000 {ONE} 00", 4, "0 integer centroids"),
    _case("C22", "257 centroids", f"06090000 01010000 {ONE}" + "00" * 265, 4, "257 integer centroids"),
    _case("C22", "a scale of 0", "06010000 02000000 00000000 01ff0000 00", 4, "positive and finite"),
    _case("C22", "an infinite scale", "06010000 02000000 0000807f 01ff0000 00", 4, "positive and finite"),
    _case("C21", "an entry of no element", f"01000100 {ONE_GAP} 01000000 {ONE} 00", 4, "past the end", (0,)),
]
