"""Digests within files: every single bit of a small file, turned, is refused or changes nothing."""

import pytest

from iclab.foundations import InvalidInputError
from iclab.foundations.documents import read_yaml
from iclab.foundations.seals import read_sealed_line, sealed, sealed_line

DATA = {"seed": 0, "prompts": {"noise": 0.5, "kind": "é"}, "steps": 1000}
TEXT = "seed: 0\nprompts:\n  noise: 0.5\n  kind: é\nsteps: 1000\n"


def flips(content):
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            yield bytes(changed)


def test_every_bit_and_every_end_of_a_sealed_document(tmp_path):
    path, whole = tmp_path / "a.yaml", sealed(TEXT).encode()
    path.write_bytes(whole)
    assert read_yaml(path) == DATA
    refused = 0
    for content in (*flips(whole), *(whole[:end] for end in range(75, len(whole)))):
        path.write_bytes(content)
        try:
            assert read_yaml(path) == DATA
        except InvalidInputError:
            refused += 1
    # All but some in the digest's own line.
    assert refused > 8 * len(TEXT.encode())


def test_documents_without_a_digest_and_with_other_line_ends_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("# a comment\n" + TEXT, encoding="utf-8")
    assert read_yaml(path) == DATA
    path.write_bytes(sealed(TEXT).replace("\n", "\r\n").encode())
    assert read_yaml(path) == DATA


def test_a_changed_document_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(sealed(TEXT).replace("seed: 0", "seed: 4"), encoding="utf-8")
    with pytest.raises(InvalidInputError, match="remove that line"):
        read_yaml(path)


def test_every_bit_of_a_sealed_line():
    content = {"step": 12, "loss": 0.1 + 0.2, "error": [1.0, 2.5e-300], "true_law": "a"}
    whole = sealed_line(content).encode()
    assert read_sealed_line(whole.decode()) == content
    damaged = 0
    for line in flips(whole):
        found = read_sealed_line(line.decode(errors="replace"))
        damaged += found is None
        assert found is None or {key: found.get(key) for key in content} == content
    assert damaged > 8 * (len(whole) - 40)
