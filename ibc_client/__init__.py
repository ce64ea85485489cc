"""Act by a trained policy where there is no torch: a client of a policy server, and policies exported to files."""

from ibc_client.client import Client as Client
from ibc_client.client import Decision as Decision
from ibc_client.link import ServerError as ServerError
from ibc_client.policy import ExportedPolicy as ExportedPolicy
from ibc_client.policy import load_exported as load_exported
