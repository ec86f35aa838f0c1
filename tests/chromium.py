"""Chromium for the tests: one browser per test process, on this machine alone, with its console and requests read."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
WAIT = 15.0

needs_browser = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="Chromium and its driver are not installed; make browser installs Debian's"
)


class Browser:
    """A thin hand on the driver: open, read, press, and what the page logged and asked for."""

    def __init__(self) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER or ""
        for flag in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
        ):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # the driver's path is given, so nothing is looked for or downloaded
        service = Service(DRIVER, env={**os.environ, "SE_OFFLINE": "true", "SE_AVOID_STATS": "true"})
        self.driver = webdriver.Chrome(options=options, service=service)
        self.screen()

    def screen(self, width: int = 1280, height: int = 900, scheme: str = "light", phone: bool = False) -> None:
        """The size of the screen and the reader's choice of colours, until the next call."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chosen = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", chosen)

    def open(self, address: str | Path, fragment: str = "") -> None:
        """A fresh page, its texts loaded."""
        self.driver.get("about:blank")
        self.driver.get((address.as_uri() if isinstance(address, Path) else address) + fragment)
        self.until("return document.readyState === 'complete'")
        if self.js("return !!document.getElementById('browser')"):
            self.settled()

    def settled(self) -> None:
        """Wait until the reader shows something."""
        self.until("return document.querySelector('#reader > *') || document.querySelector('[role=alert]')")

    def js(self, script: str, *arguments: object) -> object:
        """What the script returns."""
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str, *arguments: object) -> object:
        """Wait for the script to return something true, and return it."""
        end = time.monotonic() + WAIT
        while not (found := self.js(script, *arguments)):
            if time.monotonic() > end:
                raise AssertionError(f"not within {WAIT} s: {script}")
            time.sleep(0.02)
        return found

    def find(self, selector: str) -> object:
        """The first element."""
        return self.driver.find_element("css selector", selector)

    def click(self, selector: str) -> None:
        """A real click on the element, scrolled to first."""
        self.js("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        self.find(selector).click()

    def text(self, selector: str) -> str:
        """The text of the first element, as it is in the document."""
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that are shown."""
        shown = "[...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility())"
        return list(self.js(f"return {shown}.map((e) => e.textContent.trim())", selector))

    def choose(self, selector: str, value: str) -> None:
        """An option of a select, as a reader's choice."""
        script = """const select = document.querySelector(arguments[0]);
            select.value = arguments[1];
            if (select.value !== arguments[1]) throw new Error(`no option ${arguments[1]}`);
            for (const kind of ["input", "change"]) select.dispatchEvent(new Event(kind, { bubbles: true }));"""
        self.js(script, selector, value)

    def type(self, selector: str, words: str) -> None:
        """Words into a field, replacing what was there."""
        field = self.find(selector)
        field.clear()
        field.send_keys(words)

    def press(self, *keys: str) -> None:
        """Keys, to whatever has the focus."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """The focused element: its id, or its text."""
        return str(self.js("const e = document.activeElement; return e.id || e.textContent.trim()"))

    def errors(self) -> list[str]:
        """What the console holds since the last call: errors of the page and violations of its policy."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """Every address asked for since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def violations(self) -> list[str]:
        """Serious and critical findings of axe-core on the page as it is."""
        self.js(AXE.read_text("utf-8"))
        script = """const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ["violations"] }).then((found) => done(found.violations
              .filter((v) => ["serious", "critical"].includes(v.impact))
              .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`)),
              (error) => done([String(error)]));"""
        self.driver.set_script_timeout(60)
        return list(self.driver.execute_async_script(script))

    def close(self) -> None:
        """End the browser and its driver."""
        self.driver.quit()
