"""Prints, as JSON, what the SAM and CloudFormation templates named on standard
input come to: their CloudFormation, and where resources of each type have tags.

Input: [{"path": ..., "parameters": {...}}, ...]
"""

import json
import logging
import os
import sys

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"  # nothing is asked there

from samcli.yamlhelper import yaml_parse
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from samtranslator.translator.transform import transform

logging.disable(logging.WARNING)


class NoPolicies:
    """Names of managed policies would be looked up at AWS."""

    def load(self):
        return {}


def local(template):
    """Puts an address in S3 where sam package would."""
    for resource in template.get("Resources", {}).values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties["CodeUri"] = "s3://bucket/code"
    default = template.get("Globals", {}).get("Function", {})
    default.pop("CodeUri", None)
    return template


def tag_property(kind):
    """Returns the path of the type's tags, None if it can have none."""
    try:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    except Exception:  # a type that is in no schema fails other tests
        return None
    tagging = schema.get("tagging", {})
    if tagging.get("taggable", schema.get("taggable")) is False:
        return None
    path = tagging.get("tagProperty", "/properties/Tags")
    name = path.rsplit("/", 1)[-1]
    return name if name in schema.get("properties", {}) else None


out = {"templates": [], "tags": {}}
for job in json.load(sys.stdin):
    with open(job["path"], encoding="utf-8") as f:
        template = yaml_parse(f.read())
    if "Transform" in template:
        template = transform(local(template), job["parameters"], NoPolicies())
    out["templates"].append(template)
    for resource in template["Resources"].values():
        kind = resource["Type"]
        if kind not in out["tags"]:
            out["tags"][kind] = tag_property(kind)
version = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", "AWS::Lambda::Version").schema
out["replaces"] = version["createOnlyProperties"]
json.dump(out, sys.stdout, default=str)
