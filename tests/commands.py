"""What tests of commands share."""


def assert_refused(result, message):
    """One line that says what is wrong, and exit code 2."""
    code, _, err = result
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 2, err
    assert len(lines) == 1
    assert "Traceback" not in err
    assert message in lines[0]
