from compat.vocabulary import characters_by_id, vocabulary_of


def test_characters_come_in_the_order_of_their_ids():
    characters = [b"b", b"a", "\u00e9".encode()]
    assert vocabulary_of(characters) == {b"b": 1, b"a": 2, "\u00e9".encode(): 3}
    assert characters_by_id(vocabulary_of(characters)) == characters
    assert characters_by_id({b"a": 2, b"b": 1}) == [b"b", b"a"]
