"""What the explorer's tests do in the browser: open, follow, press, read."""

from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser import wait


def opened(browser: WebDriver, address: str) -> WebDriver:
    """The browser once it shows an address, loaded afresh."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(address)
    return settled(browser)


def settled(browser: WebDriver) -> WebDriver:
    """The browser once nothing is being loaded any more."""
    loaded = "return document.querySelector('[role=status], .fx-trouble, .fx-title')"
    busy = "return !document.querySelector('#featrack-explorer [aria-busy]')"
    wait(browser, lambda b: b.execute_script(loaded))
    wait(browser, lambda b: b.execute_script(busy))
    return browser


def status(browser: WebDriver) -> str:
    """What the list says it holds."""
    return browser.find_element(By.CSS_SELECTOR, "[role=status]").text


def names(browser: WebDriver) -> list[str]:
    """The features of the list's page, in order."""
    return [e.text for e in browser.find_elements(By.CSS_SELECTOR, "tbody .fx-name")]


def trouble(browser: WebDriver) -> str:
    """What the page says went wrong, if anything."""
    found = browser.find_elements(By.CSS_SELECTOR, ".fx-trouble")
    return " ".join(e.text for e in found if e.is_displayed())


def follow(browser: WebDriver, hash_: str) -> WebDriver:
    """The browser after a step to another view of the same page."""
    browser.execute_async_script(
        "addEventListener('hashchange', () => setTimeout(arguments[1]), {once: true});"
        "location.hash = arguments[0];",
        hash_,
    )
    return settled(browser)


def press(browser: WebDriver, *keys: str) -> WebDriver:
    """The browser after some keys, each given to whatever has the focus."""
    for key in keys:
        browser.switch_to.active_element.send_keys(key)
        # What a key sets off, such as a step to another address, comes after it.
        browser.execute_async_script("setTimeout(() => setTimeout(arguments[0]))")
    return settled(browser)
