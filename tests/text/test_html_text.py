"""The text of HTML."""

from __future__ import annotations

import tracemalloc

import pytest

from pycharrnn.text.html_text import text_of


def test_many_comments_without_an_end_take_no_longer_than_text():
    """The parser searched for the end of each of them: a megabyte took hours."""
    page = "<p>a</p><!-- b --><p>c" + "<!--x>" * 170_000
    (text,) = text_of([page])
    assert text.startswith("a\n\nc<!--x><!--x>") and len(text) > 1_000_000


@pytest.mark.parametrize(
    "page, text",
    [
        (
            "<!DOCTYPE html><html><head><title>A title</title><style>p { color: red }</style>"
            "<script>if (a < b) { c() }</script></head><body>"
            "<h1>Caf&eacute; &amp; bar</h1>\n<p>One\n   <b>two</b>,<i> three</i>.<br>four</p></body></html>",
            "Café & bar\n\nOne two, three.\nfour\n",
        ),
        ("<ul><li>a<li>b</ul><p>c<p>d", "a\nb\n\nc\n\nd\n"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3\n"),
        ("<table><caption>of</caption><tr><th>1<td>2<td>3<tr><td>4</table>", "of\n1 2 3\n4\n"),
        ("<center>I</center>It was<details><summary>a</summary>b</details>c", "I\nIt was\na\nb\nc\n"),
        ("a<hgroup>b</hgroup>c<dialog>d</dialog>e", "a\nb\nc\nd\ne\n"),
        ("a<menu>b</menu>c<dir>d</dir>e", "a\n\nb\n\nc\n\nd\n\ne\n"),
        ("<pre>  if a:\n      b</pre>after", "  if a:\n      b\n\nafter\n"),
        ("<pre>a  b</pre>c   d</pre>e  f", "a  b\n\nc d\n\ne f\n"),
        ("<div>a</div><div><div>b</div></div>", "a\nb\n"),
        ("<p>a</p><div><p>b</p></div>", "a\n\nb\n"),
        ("a<br><br>b", "a\n\nb\n"),
        ("<title>never ends<body>text", "text\n"),
        ("a <template><style>p {}</style>not shown</template>b", "a b\n"),
        ("no markup at all: 1 < 2 & 3", "no markup at all: 1 < 2 & 3\n"),
        ("<!-- a comment --><?php echo ?>&#x1F600;&nbsp;&lt;b&gt;", "😀\xa0<b>\n"),
        (f"<p title='&#{'9' * 5000};'>&#{'9' * 5000}a&#{'9' * 5000}</p>&#{'9' * 5000}", "\ufffda\ufffd\n\n\ufffd\n"),
        ("\ufeff<html><script/><p>x</p></html>", "x\n"),
        ("<p>cut off <b", "cut off <b\n"),
        ("a<![>b<![ if]>c<![x[y]]>d<![if !vml]>e<![endif]>f<![CDATA[g]]>h", "abcdefh\n"),
        ("a<IMG alt = '>' title=\"it's > b\"c><Script src=x/>d</script><br/>e<i x='>f</i>g<hr>", "a\nefg\n"),
        ("<script>only code</script>", ""),
        ("", ""),
    ],
)
def test_text(page, text):
    assert "".join(text_of(page)) in (text, text.replace(" <b\n", "\n"))


def test_tags_that_are_never_closed_are_text():
    """The parser alone takes quadratic time for them: minutes for 60 KB."""
    assert "".join(text_of(["<p>one</p>two &amp; ", "<a " * 20_000])) == "one\n\ntwo & " + "<a " * 19_999 + "<a\n"


def test_many_marked_sections_without_an_end_take_no_longer_than_text():
    """The parser searched for the end of each of them: a megabyte took minutes."""
    assert "".join(text_of(["<p>a</p>", "b<![CDATA[]>" * 80_000])) == "a\n\n" + "b" * 80_000 + "\n"


def test_a_tag_of_many_attributes_takes_little_memory():
    """The parser took 250 bytes for each of its bytes: gigabytes for a page of 16 MB."""
    page = "<p>a</p><b " + "c " * 1_000_000 + ">d"
    tracemalloc.start()
    try:
        assert "".join(text_of([page])) == "a\n\nd\n"
        assert tracemalloc.get_traced_memory()[1] < 10 * len(page)
    finally:
        tracemalloc.stop()
