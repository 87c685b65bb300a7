"""What readers of JUnit that nobody of this project wrote find in a file: JSON on stdout.

The arguments are the file and the schema that Jenkins publishes. `cases` has, for each reader, the
suite, the name and the outcome of every case, in the order of the file.
"""

import html
import json
import sys
import tempfile

import junitparser
import test_results_parser
from junit2htmlreport import runner as junit2html
from lxml import etree

path, schema = sys.argv[1:]


def validate():
    checker = etree.XMLSchema(etree.parse(schema))
    # Without a limit on the length of a text.
    checker.validate(etree.parse(path, etree.XMLParser(huge_tree=True)))
    return [str(error) for error in checker.error_log]


def with_junitparser():
    words = {"Failure": "failure", "Error": "error", "Skipped": "skipped"}
    for suite in junitparser.JUnitXml.fromfile(path):
        for case in suite:
            results = [words[type(result).__name__] for result in case.result]
            yield suite.name, case.name, " ".join(results) or "passed"


def with_codecov():
    words = {"pass": "passed", "failure": "failure", "error": "error", "skip": "skipped"}
    with open(path, "rb") as file:
        report = test_results_parser.parse_junit_xml(file.read())
    for run in report.testruns:
        assert run.classname == run.testsuite, run
        # It leaves names as they are escaped.
        yield run.testsuite, html.unescape(run.name), words[str(run.outcome)]


def properties():
    """As Jenkins and others keep them: one value for each name."""
    suites = junitparser.JUnitXml.fromfile(path)
    return {suite.name: {each.name: each.value for each in suite.properties()} for suite in suites}


def as_html():
    with tempfile.NamedTemporaryFile("r", suffix=".html", encoding="utf-8") as page:
        junit2html.run([path, page.name])
        return page.read()


readers = {
    "junitparser": with_junitparser,
    "test-results-parser": with_codecov,
}
json.dump(
    {
        "schema": validate(),
        "cases": {name: list(read()) for name, read in readers.items()},
        "properties": properties(),
        "html": as_html(),
    },
    sys.stdout,
)
