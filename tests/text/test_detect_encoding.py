"""Which encoding a file is read in."""

from __future__ import annotations

import gzip
import random
import struct
import sys

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.text import decode_text, detect_encoding, source_files
from pycharrnn.text.decode_text import INVALID_AS_CP1252

ENGLISH = "The night was as dark as ink. Nobody slept: “Who’s there?” asked Zoë — it was the café’s cat…\n"
FRENCH = "Où sont passées les neiges d’antan? Le garçon rêvait déjà d’une forêt brûlée, à côté de l’église.\n"
GERMAN = "Die Füchsin läuft über die große Brücke; schöne Mädchen hören ähnliche Glöckchen und grüßen müde Bären.\n"
SPANISH = "¿Dónde está el niño? Mañana compraré jamón y también leche, señor; la canción sonó en el jardín.\n"
PORTUGUESE = "Não sei onde estão as crianças; amanhã haverá sopa de feijão, pão e três maçãs na estação.\n"
SWEDISH = "Flickan gick över ån och såg en räv som låg på en sten; då började fåglarna sjunga högt.\n"
POLISH = "Zażółć gęślą jaźń, rzekł ktoś; później dziewczęta poszły nad rzekę, żeby łowić świeże ryby.\n"
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy, když večer přišla bouře a děti běžely domů přes louku.\n"
RUSSIAN = "Ночь, улица, фонарь, аптека. Бессмысленный и тусклый свет. Живи ещё хоть четверть века.\n"
GREEK = "Η νύχτα ήταν σκοτεινή και κανείς δεν κοιμόταν· το παιδί άκουγε τη θάλασσα κάτω από το παράθυρο.\n"
TURKISH = "Küçük kız şarkı söyledi, çünkü güneş doğdu; ağacın altında yaşlı köpek uyuyordu, ışık çok güzeldi.\n"
HEBREW = "הלילה היה חשוך ואיש לא ישן; הילדה שמעה את הים מתחת לחלון ושרה שיר ישן.\n"
ARABIC = "كانت الليلة مظلمة ولم ينم أحد، وسمعت البنت صوت البحر تحت النافذة وغنت أغنية قديمة.\n"
JAPANESE = "夜は暗くて、だれも眠れなかった。少女は窓の下の海の音を聞きながら、古い歌を歌っていた。\n"
CHINESE = "夜很黑，谁也没有睡着。小姑娘听着窗下的大海，唱起了一首古老的歌，一直唱到天亮。\n"
TAIWANESE = "夜很黑，誰也沒有睡著。小姑娘聽著窗下的大海，唱起了一首古老的歌，一直唱到天亮。\n"
KOREAN = "밤은 어두웠고 아무도 잠들지 못했다. 소녀는 창문 아래 바다 소리를 들으며 오래된 노래를 불렀다.\n"
LEGACY = [
    (ENGLISH, "cp1252"),
    (ENGLISH, "mac-roman"),
    *((text, code) for text in (FRENCH, GERMAN, SPANISH, PORTUGUESE, SWEDISH) for code in ("cp1252", "mac-roman")),
    *((text.replace("’", "'"), "latin-1") for text in (FRENCH, GERMAN, SPANISH, PORTUGUESE, SWEDISH)),
    *((text, code) for text in (POLISH, CZECH) for code in ("cp1250", "iso8859-2")),
    *((RUSSIAN, code) for code in ("cp1251", "koi8-r", "cp866", "mac-cyrillic", "iso8859-5")),
    (GREEK, "iso8859-7"),
    (TURKISH, "cp1254"),
    (HEBREW, "cp1255"),
    (ARABIC, "cp1256"),
    (JAPANESE, "shift-jis"),
    (JAPANESE, "euc-jp"),
    (CHINESE, "gb18030"),
    (TAIWANESE, "big5"),
    (KOREAN, "cp949"),
]
NOISE = random.Random(5)


def decoded(path, content: bytes, text_encoding: str = "") -> str | None:
    """The text of a file with this content; None for binary data."""
    path.write_bytes(content)
    decoding = detect_encoding.decoding_of(str(path), "a.txt", text_encoding)
    if decoding is None:
        return None
    return b"".join(decode_text.pieces(str(path), decoding, "a.txt")).decode("utf-8", "surrogateescape")


def shuffled(text: str, length: int) -> str:
    """A text of the words of another one."""
    words, rng = text.split() or [text], random.Random(1)
    lines = (" ".join(rng.choices(words, k=8)) for _ in range(length // 8 // len(words[0]) + 1))
    return "\n".join(lines)[:length]


@pytest.mark.parametrize("text, codec", LEGACY)
@pytest.mark.parametrize("length", [0, 1_000, 100_000])
def test_old_encodings(tmp_path, text, codec, length):
    if length:
        text = shuffled(text, length)
    assert decoded(tmp_path / "a", text.encode(codec)) == text
    assert decoded(tmp_path / "a", text.replace("\n", "\r\n").encode(codec)) == text


@pytest.mark.parametrize("text", [JAPANESE, CHINESE, TAIWANESE, KOREAN])
def test_a_long_text_without_lines(tmp_path, text):
    """A sample from its middle would begin within a character."""
    codec = next(codec for other, codec in LEGACY if other is text)
    text = shuffled("".join(text.split()), 300_000).replace("\n", "").replace(" ", "")
    assert decoded(tmp_path / "a", b"ASCII at first. " * 9000 + text.encode(codec)) == "ASCII at first. " * 9000 + text


def test_few_letters_in_a_long_text(tmp_path):
    """A sample at random places would miss them."""
    text = shuffled("the night was dark and nobody slept", 1_000_000)
    for codec in ("cp1252", "mac-roman"):
        places = [NOISE.randrange(len(text)) for _ in range(12)]
        dotted = text
        for place in places:
            dotted = f"{dotted[:place]} “Zoë’s café” {dotted[place:]}"
        assert decoded(tmp_path / "a", dotted.encode(codec)) == dotted


@pytest.mark.parametrize("codec", ["cp1251", "koi8-r"])
def test_a_text_whose_second_half_is_in_another_language(tmp_path, codec):
    """The letters at its beginning are too few to tell the encoding."""
    text = "Ж\n" + shuffled(ENGLISH.encode("ascii", "ignore").decode(), 300_000) + "\n" + RUSSIAN * 3000
    assert decoded(tmp_path / "a", text.encode(codec)) == text


@pytest.mark.parametrize("place", [20_000, 110_000, 150_000, 250_000])
@pytest.mark.parametrize(
    "text, codec",
    [("Er ging -wie immer- über die Brücke\n", "cp1252"), (FRENCH.replace("’", " "), "cp1252"), (CZECH, "cp1250")],
)
def test_marks_in_one_chapter_of_a_book(tmp_path, text, codec, place):
    """Without them the text is as likely ISO 8859, where their bytes are control characters."""
    text = (text * (300_000 // len(text))).translate(dict.fromkeys(map(ord, "šžťŠŽŤ")))
    text = text[:place] + " er sagte „Nein“, und – ging’s gut? " + text[place:]
    assert decoded(tmp_path / "a", text.encode(codec)) == text


@pytest.mark.parametrize("text", ["café", "naïve résumé", "1200°C\n" * 3, "größer\n", "Où sont les neiges?\n"])
def test_single_words_are_western(tmp_path, text):
    assert decoded(tmp_path / "a", text.encode("latin-1")) == text


@pytest.mark.parametrize("words", ["café crème", "Zoë naïve", "garçon déjà vu", "José María", "André Chloé Noël"])
@pytest.mark.parametrize("count", [5, 1000])
def test_latin_words_with_accents_are_neither_greek_nor_cyrillic(tmp_path, words, count):
    """Though the statistics of so few words say so: cafι crθme."""
    text = f"{words}\n" * count
    assert decoded(tmp_path / "a", text.encode("cp1252")) == text


@pytest.mark.parametrize(
    "text, codecs",
    [
        ("Το USB-καλώδιο του iPhone, το Wi-Fi και το e-mail· στο internet ο χρήστης άνοιξε το Word.\n", ["iso8859-7"]),
        ("Windows, Linux, Android, Python: ένα πρόγραμμα\n", ["iso8859-7"]),
        ("Кабель USB для iPhone'а, IT-компания и Wi-Fi роутер; e-mail открыли в Outlook.\n", ["cp1251", "koi8-r"]),
        ('printf("\\nПривет, %sмир\\n"); // здесь начинается main, потом return\n', ["cp1251", "koi8-r", "cp866"]),
        ('msgid "Open file"\nmsgstr "Открыть файл"\n', ["cp1251", "koi8-r"]),
    ],
)
def test_greek_and_cyrillic_texts_with_latin_words_stay_as_they_are(tmp_path, text, codecs):
    for codec in codecs:
        for count in (3, 1000):
            assert decoded(tmp_path / "a", (text * count).encode(codec)) == text * count


def test_lone_returns_are_of_a_mac(tmp_path):
    for text, codec in (
        (ENGLISH, "mac-roman"),
        (FRENCH, "mac-roman"),
        (CZECH, "mac-latin2"),
        (RUSSIAN, "mac-cyrillic"),
    ):
        assert decoded(tmp_path / "a", (text * 3).replace("\n", "\r").encode(codec)) == text * 3


@pytest.mark.parametrize("text", [ENGLISH, FRENCH, RUSSIAN, CHINESE, "a 😀 b\n"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode(tmp_path, text, codec):
    assert decoded(tmp_path / "a", text.encode(codec)) == text
    assert decoded(tmp_path / "a", b"\xfe\xff" + text.encode("utf-16-be")) == text


@pytest.mark.parametrize("text", ["\u3000吾輩は猫である。\n", "می\u200cخواهم آن\u200cها\n", "a\xa0b\u2028c\u200fא\n"])
@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_with_wide_blanks_and_marks_of_direction(tmp_path, text, codec):
    assert decoded(tmp_path / "a", (text * 100).encode(codec)) == text * 100
    assert decoded(tmp_path / "a", (text * 100).encode(codec), codec) == text * 100


def test_utf8_with_a_few_invalid_bytes_stays_utf8(tmp_path):
    text = (GERMAN * 3000).encode()
    assert decoded(tmp_path / "a", text + b"\x93Zo\xeb\x94\n" + text) == GERMAN * 3000 + "“Zoë”\n" + GERMAN * 3000
    assert decoded(tmp_path / "a", text[:-40] + "ü".encode()[:1]) == (GERMAN * 3000).encode()[:-40].decode()
    assert detect_encoding.decoding_of(str(tmp_path / "a"), "a").errors == INVALID_AS_CP1252


def test_invalid_bytes_beyond_the_sample(tmp_path):
    text = KOREAN * 3000
    assert decoded(tmp_path / "a", text.encode("cp949") + b"\xff") == text + "\ufffd"


@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_the_byte_order_must_be_known(tmp_path, codec):
    with pytest.raises(UserError, match=f"has no byte order mark: give -text_encoding {codec}-le or {codec}-be"):
        decoded(tmp_path / "a", ENGLISH.encode(f"{codec}-be"), codec)
    assert decoded(tmp_path / "a", ENGLISH.encode(f"{codec}-be"), f"{codec}-be") == ENGLISH
    (tmp_path / "a").write_bytes(bytes(range(256)) * 9)
    assert detect_encoding.decoding_of(str(tmp_path / "a"), "a", codec) is None  # no text, so not of either order


def test_an_encoding_that_is_named(tmp_path):
    assert decoded(tmp_path / "a", FRENCH.encode("cp1252"), "cp1252") == FRENCH
    assert decoded(tmp_path / "a", FRENCH.encode(), "cp1252") == FRENCH.encode().decode("cp1252")
    assert decoded(tmp_path / "a", ENGLISH.encode("utf-16-le"), "utf-16-le") == ENGLISH
    assert decoded(tmp_path / "a", FRENCH.encode("cp1252"), "bytes").encode("utf-8", "surrogateescape") == (
        FRENCH.encode("cp1252")
    )
    with pytest.raises(UserError, match="a.txt can't be decoded as utf-8 at offset 1 "):
        decoded(tmp_path / "a", FRENCH.encode("cp1252"), "utf-8")


@pytest.mark.parametrize("text_encoding", ["", "bytes", "utf-8", "latin-1", "koi8-r", "cp437"])
@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0" + NOISE.randbytes(3000),
        b"\xff\xfb\x90\x64" + NOISE.randbytes(3000),
        b"\xff\xfe" + NOISE.randbytes(3000),
        b"\xff\xfe\0\0" + NOISE.randbytes(3000),
        b"\x7fELF\2\1\1" + bytes(9),
        gzip.compress(NOISE.randbytes(2000), mtime=0),  # pytest names the test by these bytes
        NOISE.randbytes(3000).replace(b"\0", b""),
        struct.pack("<500h", *(NOISE.randrange(-3000, 3000) for _ in range(500))),
        struct.pack("<500i", *range(500)),
        bytes(1000),
        "a text with a \0 in it".encode("utf-16"),
    ],
)
def test_binary_data(tmp_path, content, text_encoding):
    assert decoded(tmp_path / "a", content, text_encoding) is None


@pytest.mark.parametrize("text_encoding", ["", "bytes", "utf-8", "latin-1", "koi8-r", "cp437"])
@pytest.mark.parametrize("text", ["a text with a \0 in it", "A poem.\n" * 60 + "\0", "\0" + FRENCH * 9])
def test_a_zero_byte_in_a_text(tmp_path, text, text_encoding):
    """Whose pairs of bytes would be printable characters of UTF-16."""
    assert decoded(tmp_path / "a", text.encode(), text_encoding) == (text if text_encoding == "bytes" else None)


def test_terminal_colors_are_text(tmp_path):
    assert decoded(tmp_path / "a", b"\x1b[31mred\x1b[0m\n") == "\x1b[31mred\x1b[0m\n"


@pytest.mark.parametrize("module", [None, "an old chardet"])
def test_without_chardet(tmp_path, monkeypatch, module):
    if module:
        monkeypatch.setattr("chardet.detect", lambda text: {"encoding": "ascii"})
    else:
        monkeypatch.setitem(sys.modules, "chardet", None)
    assert decoded(tmp_path / "a", FRENCH.encode()) == FRENCH
    assert decoded(tmp_path / "a", FRENCH.encode("cp1252"), "cp1252") == FRENCH
    with pytest.raises(UserError) as error:
        decoded(tmp_path / "a", FRENCH.encode("cp1252"))
    assert str(error.value) == (
        'a.txt is not UTF-8, and detecting its encoding needs a package: pip install "chardet>=7.6,<8", or name the'
        " encoding by -text_encoding, cp1252 for example."
    )


def test_a_sample_with_a_broken_character_needs_no_chardet(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "chardet", None)
    sample = b"caf\xc3 " * 9
    (tmp_path / "s.txt").write_bytes(sample)
    assert source_files.read(str(tmp_path / "s.txt"), print, of_model=b"caf\xc3\xa9 ") == sample
    with pytest.raises(UserError, match="needs a package"):
        source_files.read(str(tmp_path / "s.txt"), print, of_model=b"caf ")


def test_a_named_encoding_decodes_a_sample_too(tmp_path):
    (tmp_path / "s.txt").write_bytes(b"caf\xe9 " * 9)
    path, of_all_bytes = str(tmp_path / "s.txt"), bytes(range(256))
    assert source_files.read(path, print, "cp1252", of_all_bytes) == "caf\u00e9 ".encode() * 9


def test_a_file_of_a_known_kind_is_no_sample(tmp_path):
    """Also for a model of all bytes, which may generate any file."""
    (tmp_path / "s.pdf").write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    with pytest.raises(UserError, match="is a PDF file, not plain text"):
        source_files.read(str(tmp_path / "s.pdf"), print, of_model=bytes(range(256)))


@pytest.mark.parametrize("name", ["koi8-r", "cp1251"])
def test_html_that_declares_its_encoding(tmp_path, name):
    """Without the declaration, the statistics take this word in koi8-r for koi8-u."""
    page = f"<html><head><meta charset={name}></head><p>Фонарщик</p></html>"
    assert decoded(tmp_path / "a.html", page.encode(name)) == page


@pytest.mark.parametrize("items", [[b"Ann", b"Bob", b"Zoe", b"Cara"], [b"Ann", b"Bob"], [b"abc", b"def\nghi"]])
def test_items_of_ascii_between_zero_bytes_are_no_utf16(tmp_path, items):
    """Also with all zeros at one parity."""
    assert decoded(tmp_path / "a.txt", b"".join(item + b"\0" for item in items * 30)) is None


@pytest.mark.parametrize("text", ["The sign \u4e2d of a plate.\n", "\u306d\u3053\n", "\u043c\u0430\u043a\n"])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf16_whose_bytes_are_all_ascii(tmp_path, text, codec):
    assert text.encode(codec).isascii() and decoded(tmp_path / "a.txt", text.encode(codec)) == text
