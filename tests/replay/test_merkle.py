import pytest

from testbed.replay import merkle

# The entries and roots of Certificate Transparency's own tests (certificate-transparency, merkletree).
ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
INCLUSION_OF_0_IN_8 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
INCLUSION_OF_5_IN_8 = [
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]
CONSISTENCY_6_TO_8 = [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]


def texts(proof):
    return [node.hex() for node in proof]


def test_the_empty_tree_is_the_hash_of_nothing():
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size):
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_proofs_are_those_of_certificate_transparency():
    assert texts(merkle.inclusion_proof(LEAVES, 0)) == INCLUSION_OF_0_IN_8
    assert texts(merkle.inclusion_proof(LEAVES, 5)) == INCLUSION_OF_5_IN_8
    assert texts(merkle.consistency_proof(LEAVES, 1)) == INCLUSION_OF_0_IN_8
    assert texts(merkle.consistency_proof(LEAVES, 6)) == CONSISTENCY_6_TO_8


def tree(size):
    return [merkle.leaf_hash(bytes([n])) for n in range(size)]


@pytest.mark.parametrize("size", range(1, 20))
def test_an_inclusion_proof_proves_its_own_leaf_and_no_other(size):
    leaves, head = tree(size), merkle.root(tree(size))
    for index in range(size):
        proof = merkle.inclusion_proof(leaves, index)
        holding = [other for other in range(size) if merkle.verify_inclusion(leaves[other], other, size, proof, head)]
        assert holding == [index]
        assert not merkle.verify_inclusion(leaves[index], index, size, [*proof, head], head)
        assert not merkle.verify_inclusion(leaves[index], size, size, proof, head)


@pytest.mark.parametrize("size", range(1, 20))
def test_a_consistency_proof_holds_for_the_true_prefix_only(size):
    leaves, head = tree(size), merkle.root(tree(size))
    for older in range(1, size + 1):
        proof = merkle.consistency_proof(leaves, older)
        older_root = merkle.root(leaves[:older])
        assert merkle.verify_consistency(older, size, older_root, head, proof)
        assert not merkle.verify_consistency(older, size, merkle.leaf_hash(b"other"), head, proof)
        assert not merkle.verify_consistency(older, size, older_root, merkle.leaf_hash(b"other"), proof)
        assert not merkle.verify_consistency(older, size, older_root, head, [*proof, head])


def test_proofs_of_what_is_not_there_are_refused():
    with pytest.raises(ValueError, match="no leaf 8"):
        merkle.inclusion_proof(LEAVES, 8)
    with pytest.raises(ValueError, match="from 1 to 8"):
        merkle.consistency_proof(LEAVES, 9)
