"""Rules run by Great Expectations, in memory; each result is plain JSON."""

import logging
import os
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # GX reads it on import

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.core.expect_column_values_to_be_between import (
    ExpectColumnValuesToBeBetween,
)
from great_expectations.expectations.core.expect_column_values_to_be_in_set import (
    ExpectColumnValuesToBeInSet,
)
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

from headstart.errors import HeadstartError
from headstart.pipeline.data.rules import Row, Rule

for name in ("great_expectations", "great_expectations.data_context.types.base"):
    logging.getLogger(name).setLevel(logging.WARNING)  # importing them turns INFO on

MAX_ROWS_STORED = 200  # per failed expectation; unexpected_count keeps the total


def evaluate(name: str, table: pd.DataFrame, keys: list[str], checks: list[Rule]) -> list[Row]:
    """The results of one suite, in the order of `checks`; failing rows are identified by `keys`.

    Raises:
        HeadstartError: an expectation could not be evaluated.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("manifest").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
    report: Any = batch.validate(
        gx.ExpectationSuite(name, expectations=[_expectation(rule) for rule in checks]),
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": keys,
            "return_unexpected_index_query": False,
        },
    )
    found = report.to_json_dict()["results"]
    by_description = {result["expectation_config"]["description"]: result for result in found}
    return [_plain(by_description[rule.description]) for rule in checks]


def shortened(result: Row) -> Row:
    """The result with its lists of failing values and rows cut to a readable length."""
    found = result["result"].items()
    cut = {key: some[:MAX_ROWS_STORED] if isinstance(some, list) else some for key, some in found}
    return {**result, "result": cut}


def _expectation(rule: Rule) -> Expectation:
    about = {
        "column": rule.column,
        "description": rule.description,
        "severity": rule.severity,
        "row_condition": _condition(rule),
    }
    if rule.allowed is not None:
        return ExpectColumnValuesToBeInSet(value_set=list(rule.allowed), **about)
    return ExpectColumnValuesToBeBetween(min_value=rule.low, max_value=rule.high, **about)


def _condition(rule: Rule) -> Any:
    readable = Column("error") == ""
    if rule.except_format:
        return readable & (Column("format") != rule.except_format)
    return readable if rule.readable_only else None


def _plain(result: Row) -> Row:
    """One result without IDs; raises if the expectation raised, because GX only records that."""
    config, info = result["expectation_config"], result["exception_info"]
    for raised in [info] if "raised_exception" in info else info.values():
        if raised["raised_exception"]:
            raise HeadstartError(
                f"the expectation on {config['kwargs'].get('column')!r} could not be evaluated: "
                f"{raised['exception_message']}; expected a manifest from the validate stage"
            )
    kwargs = {key: value for key, value in config["kwargs"].items() if key != "batch_id"}
    kept = {key: config[key] for key in ("type", "description", "severity")}
    return {
        "success": result["success"],
        "expectation_config": {**kept, "kwargs": kwargs},
        "result": result["result"],
    }
