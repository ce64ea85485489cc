"""The energy in a browser: policies as one HTML file, which searches their energies by itself."""

from ibc.page.write import render as render
from ibc.page.write import write_page as write_page
