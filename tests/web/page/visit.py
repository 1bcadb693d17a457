"""A person at a browser: what goes wrong there, and how one gets in."""

from dataclasses import dataclass, field

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from tests.app.box import RunningBox
from tests.web.box import PASSWORD, Box


@dataclass
class Visit:
    """One person at one browser, and everything that went wrong there."""

    page: Page
    context: BrowserContext
    faults: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", self._console)
        self.page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        where = message.location["url"]
        if where.startswith("blob:") and "FILE_NOT_FOUND" in message.text:
            return  # an element that was let go while it was still opening its source
        if message.type in {"error", "warning"} and "status of" not in message.text:
            self.faults.append(f"console: {message.text} {where}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.faults.append(f"{response.status} {response.url}")


STANDING = """selector => [...document.querySelectorAll(selector)].map((tile) => {
  const {currentTime, paused, seeking, readyState, buffered} = tile.querySelector("video");
  const ranges = [...Array(buffered.length).keys()]
    .map((n) => [buffered.start(n), buffered.end(n)]);
  return [tile.className, currentTime, paused, seeking, readyState, ranges];
})"""
"""Where the elements of some tiles stand, for what is said of a picture that does not come."""


async def signed_in(
    browser: Browser,
    box: Box | RunningBox,
    language: str,
    size: tuple[int, int],
    who: str = "admin",
    password: str = PASSWORD,
) -> Visit:
    """Log in; returns once the page is there. Whoever calls closes the context."""
    context = await browser.new_context(
        ignore_https_errors=True,
        viewport={"width": size[0], "height": size[1]},
        locale=language,
        timezone_id="Asia/Shanghai",
    )
    page = await context.new_page()
    visit = Visit(page, context)
    visit.watch()
    await page.goto(box.url)
    await page.locator("input[autocomplete=username]").fill(who)
    await page.locator("input[type=password]").fill(password)
    await page.locator("button[type=submit]").click()
    await page.locator(".shell").first.wait_for()
    return visit
