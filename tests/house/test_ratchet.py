"""Limits on the size of the house; they may only go down without an argument in the commit."""

import ast

from conftest import ROOT

#: Lines of ibc/, of its longest file and function, of benchmarks/; arguments of a function; configuration files.
LINES, FILE, FUNCTION, BENCHMARKS, ARGUMENTS, CONFIGS = 26_216, 310, 63, 8_317, 14, 117


def sources(folder):
    return list((ROOT / folder).rglob("*.py"))


def functions(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node


def count_lines(folder):
    return sum(len(path.read_text().splitlines()) for path in sources(folder))


def test_lines_of_the_library():
    assert count_lines("ibc") <= LINES


def test_lines_of_the_laboratory():
    assert count_lines("benchmarks") <= BENCHMARKS


def test_longest_file():
    longest = {
        p.name: len(p.read_text().splitlines())
        for p in sources("ibc") + sources("ibc_client") + sources("envs")
    }
    assert max(longest.values()) <= FILE, max(longest, key=longest.get)


def test_tests_mirror_the_packages_in_files_that_are_not_long():
    tests = sources("tests")
    assert max(len(path.read_text().splitlines()) for path in tests) <= 400
    assert not list((ROOT / "tests").glob("test_*.py"))


def test_longest_function():
    found = {
        f"{path.name}:{f.name}": f.end_lineno - f.lineno + 1
        for path in sources("ibc")
        for f in functions(path)
    }
    assert max(found.values()) <= FUNCTION, max(found, key=found.get)


def test_most_arguments():
    found = {
        f"{path.name}:{f.name}": len(f.args.args) + len(f.args.kwonlyargs)
        for path in sources("ibc")
        for f in functions(path)
    }
    assert max(found.values()) <= ARGUMENTS, max(found, key=found.get)


def test_configuration_files():
    assert len(list((ROOT / "configs").rglob("*.yaml"))) <= CONFIGS


def test_examples_are_short():
    assert max(len(p.read_text().splitlines()) for p in sources("examples")) <= 60
