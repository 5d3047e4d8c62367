"""Writes a picture of a report: `python docs/screenshot.py report.html docs/report.png [light|dark]`.

Needs the extra `[dev]` and the Chromium of the system; nothing is fetched.
"""

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def screenshot(page: Path, picture: Path, scheme: str = "light") -> None:
    """The top of the page, down to the second chart, as PNG at one and a half times the density of the screen."""
    from playwright.sync_api import sync_playwright

    chromium = next((found for name in NAMES if (found := shutil.which(name))), None)
    if chromium is None:
        raise SystemExit(f"error: none of {', '.join(NAMES)} is installed\nhint: apt-get install chromium")
    # Chromium refuses to start as root with its sandbox on.
    flags = FLAGS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        shown = browser.new_page(
            color_scheme=scheme,
            viewport={"width": 960, "height": 1220},
            device_scale_factor=1.5,
            reduced_motion="reduce",
        )
        shown.goto(page.resolve().as_uri())
        shown.wait_for_function("document.querySelectorAll('.chart:not(.drawn)').length === 0")
        shown.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    screenshot(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
