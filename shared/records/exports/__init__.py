"""Exchanges in the shapes that others read. Nothing here does I/O; `services/cli` puts it into files.

whole       an exchange with all that an export takes
moonpalace  MoonPalace's JSON
curl        a command that asks the provider the same again
har         HTTP Archive 1.2
training    JSON lines: OpenAI's fine-tuning shape, and the K2 vendor verifier's dataset
shapes      each of them by what stands for one exchange and around all of them
"""
