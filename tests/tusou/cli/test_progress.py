"""Progress bars on stderr, and the notices above them."""

import pytest

from tusou.cli.progress import progress


def test_a_bar_shows_the_finished_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as bar:
        bar.begin("encoding", 4, done=1)
        bar.advance(3, note="2 failed")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "encoding" in printed.err
    assert "4/4" in printed.err
    assert "2 failed" in printed.err


def test_a_bar_moves_to_a_position_backwards_too(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as bar:
        bar.move_to("replaying", 30, 50)
        bar.move_to("replaying", 10, 50)
    printed = capsys.readouterr().err
    assert "10/50" in printed
    assert printed.count("replaying") == 1


def test_a_notice_is_printed_once_in_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as bar:
        for message in ("overloaded [retrying]", "overloaded [retrying]", "unreachable"):
            bar.notice(message)
    assert capsys.readouterr().err == "overloaded [retrying]\nunreachable\n"


def test_without_work_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with progress():
        pass
    assert capsys.readouterr() == ("", "")
