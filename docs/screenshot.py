"""Take a screenshot of a report: `python docs/screenshot.py report.html docs/report.png [light|dark]`.

Needs the extra `[dev]` and a Chromium that is installed on the system; nothing is downloaded.
"""

import argparse
import os
import shutil
from pathlib import Path
from typing import Literal

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def screenshot(page: Path, picture: Path, scheme: Literal["light", "dark"] = "light") -> None:
    """Writes the top of the page, down to the second chart, as a PNG of 1.5 pixels for each CSS pixel."""
    from playwright.sync_api import sync_playwright

    chromium = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if chromium is None:
        raise SystemExit(f"error: none of {', '.join(BROWSERS)} is installed\nhint: apt-get install chromium")
    # as root, Chromium refuses to start with its sandbox on
    flags = FLAGS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        tab = browser.new_page(
            color_scheme=scheme,
            viewport={"width": 960, "height": 1220},
            device_scale_factor=1.5,
            reduced_motion="reduce",
        )
        tab.goto(page.resolve().as_uri())
        tab.wait_for_function("document.querySelectorAll('.chart:not(.drawn)').length === 0")
        tab.screenshot(path=picture)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("scheme", nargs="?", default="light", choices=["light", "dark"])
    options = parser.parse_args()
    screenshot(options.page, options.picture, options.scheme)


if __name__ == "__main__":
    main()
