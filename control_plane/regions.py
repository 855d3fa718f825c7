"""Regions, as multi-Region clusters know them: sets of three have to lie in one of these groups.

There is one Region in an installation. A cluster that names a witness waits for its peers (PENDING_SETUP),
and there is nobody who could be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_plane.failures import invalid

# https://docs.aws.amazon.com/aurora-dsql/latest/userguide/multi-region-aws.html
REGION_SETS = (
    frozenset({"us-east-1", "us-east-2", "us-west-2", "ca-central-1", "ca-west-1"}),
    frozenset(
        {"ap-south-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1"}
    ),
    frozenset({"eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-south-2", "eu-north-1"}),
)
_FIELD = "multiRegionProperties"


def check_witness(properties: Mapping[str, Any] | None, region: str) -> str:
    """Return the witness Region of a cluster in `region`, "" for none. Raises ServiceError."""
    if properties is None:
        return ""
    witness: str = properties.get("witnessRegion", "")
    if not witness:
        raise _refusal("witnessRegion", "A multi-Region cluster needs a witness Region.")
    if witness == region:
        text = "The witness Region must be another one than the cluster's."
        raise _refusal("witnessRegion", text)
    if not any({witness, region} <= group for group in REGION_SETS):
        text = f"{witness} cannot be the witness Region of a cluster in {region}."
        raise _refusal("witnessRegion", text)
    if any(arn.split(":")[3] == region for arn in properties.get("clusters", ())):
        raise _refusal("clusters", "Peer clusters must lie in other Regions.")
    if properties.get("clusters"):
        raise _refusal("clusters", f"This installation has no other Region than {region}.")
    return witness


def _refusal(field: str, text: str) -> Exception:
    return invalid(text, "fieldValidationFailed", [(f"{_FIELD}/{field}", text)])
