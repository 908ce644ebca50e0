"""The rules are applied by a server by itself, and an erased segment's room comes back while it serves."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from leadglass.app import Home, local_site
from leadglass.index.entries import microseconds
from tests.support.archive_rig import ct_images
from tests.support.fork_server import fork_server
from tests.support.site import make_site
from tests.support.stored import store_in_process, study_of

WAIT_S = 30.0


def test_a_server_applies_the_rules_erases_and_gives_the_room_back(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    items = ct_images(2)
    store_in_process(site, items)
    with local_site(Home(site.home)) as opened, opened.engine.begin() as connection:
        received = microseconds(opened.clock.now() - timedelta(days=100))
        connection.exec_driver_sql("UPDATE instance SET received_at_us = ?", (received,))
    with (site.home / "leadglass.toml").open("a") as file:
        file.write('\n[retention]\nbin_days = 0\nrules.old = { older_than_days = 99, action = "bin" }\n')
    with fork_server() as forks, site.forked(forks) as server:
        server.wait_for(r"^ready ", timeout_s=30)
        deadline = time.monotonic() + WAIT_S
        while not site.audit("segment.compacted") and time.monotonic() < deadline:
            time.sleep(0.1)
        [line] = site.audit("study.deleted")
        assert (line.event.study, line.event.reason) == (study_of(items[0]), "retention rule old")
        assert not list((site.home / "segments").glob("*.seg"))
