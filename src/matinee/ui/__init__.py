"""What a stakeholder sees: pages made from the release. Everything that decides is pure; Streamlit only draws it.

Pure: `forms`, `values`, `results`, `tables`, `history`, `words`.
Streamlit: `widgets`, `render`, `outcome`, `pages`, `app`; `session` holds the one client, `serve` the process.
"""
