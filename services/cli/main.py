"""`moontide …`: every command, loaded only when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from shared.version import version

COMMANDS = {
    "up": "services.cli.up:up",
    "start": "services.cli.start:start",
    "ingress": "services.cli.services:ingress",
    "upstream": "services.cli.services:upstream",
    "normalizer": "services.cli.services:normalizer",
    "enforcer": "services.cli.services:enforcer",
    "sentinel": "services.cli.services:sentinel",
    "recorder": "services.cli.services:recorder",
    "dashboard": "services.cli.services:dashboard",
    "provider-sim": "services.provider_sim.main:command",
    "list": "services.cli.listing:list_",
    "inspect": "services.cli.inspecting:inspect",
    "diff": "services.cli.diff:diff",
    "mark": "services.cli.mark:mark",
    "stats": "services.cli.stats:stats",
    "migrate": "services.cli.migrate:migrate",
    "export": "services.cli.export:export",
    "replay": "services.cli.replay:replay",
    "record-to-test": "services.cli.record_to_test:record_to_test",
    "import": "services.cli.record_import:import_",
    "cleanup": "services.cli.cleanup:cleanup",
    "tap": "services.cli.tap:tap",
    "cancel": "services.cli.workers:cancel",
    "workers": "services.cli.workers:workers",
    "health": "services.cli.workers:health",
    "providers": "services.cli.providers:providers",
    "config": "services.cli.config:config",
    "nats-config": "services.cli.nats_config:nats_config",
    "doctor": "services.cli.doctor:doctor",
    "repair": "services.cli.repair:repair",
}


class Commands(click.Group):
    """A group that imports a command when it is needed: `moontide list` should not wait for aiohttp."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), prog_name="moontide")
def main() -> None:
    """A Kimi-first LLM gateway: one base_url, every answer repaired, every exchange recorded."""


if __name__ == "__main__":
    main(prog_name="moontide")
