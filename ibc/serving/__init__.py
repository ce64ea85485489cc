"""A policy for programs elsewhere: a server, which :mod:`ibc_client` asks for actions."""

from ibc.serving.server import PolicyServer as PolicyServer
from ibc.serving.session import Session as Session
