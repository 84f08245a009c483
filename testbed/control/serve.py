"""An os-ken application as a process of its own, on native threads."""

from __future__ import annotations

from os_ken import cfg
from os_ken.base import app_manager
from os_ken.lib import hub


def serve(app: str, host: str, port: int) -> None:
    """Serve switches until killed.

    Args:
        app: module of the application. host, port: where it listens.
    """
    options = [f"--ofp-listen-host={host}", f"--ofp-tcp-listen-port={port}"]
    cfg.CONF(options, project="os_ken", version="testbed", default_config_files=[], default_config_dirs=[])
    manager = app_manager.AppManager.get_instance()
    manager.load_apps([app])
    hub.joinall(manager.instantiate_apps(**manager.create_contexts()))
