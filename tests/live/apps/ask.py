"""Make requests from inside a pod: a JSON list of `fields.asking.Ask` as dicts in, their answers out."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3]))
from tests.live.fields import asking

found = asyncio.run(asking.all_of([{"asks": json.loads(sys.argv[1])}]))
print(json.dumps(found[0]))
